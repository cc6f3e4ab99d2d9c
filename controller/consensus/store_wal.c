/* The write-ahead log at the start: what is in it reaches the disk, and there is room
 * behind.
 *
 * When a sync fails, Linux says so once and calls the pages clean. The next life of the
 * node reads them, votes and entries that are nowhere but in memory, and answers for them;
 * no later sync would write them, and a power cut would undo what was answered for. So all
 * that the log has is written once more, the same bytes to the same place, and synced
 * before anything of it counts. The database's own file needs none of that: the log is
 * begun anew only after that file was synced, so until then each of its pages comes from
 * the log again.
 *
 *  * A sync of a file that has just grown waits for more than the bytes: the file system
 * has to find room for them, and to write down that it did. Of one that is overwritten it
 * waits for the bytes. SQLite starts its log again at the beginning after a checkpoint, so
 * the room is used over and over; only a new log would grow for its first thousand pages.
 * What lies behind the log's end is no concern of SQLite's: its frames carry the salt and
 * the checksum of this very log, which zeros do not have. */
#include <stdlib.h>

#include "controller/consensus/store_db.h"

enum {
    WAL_HEAD = 32,
    WAL_FRAME = 24 + 4096,
    BATCH_PAGES = 128, /* of one transaction that comes just before the checkpoint */
    PAGES_DEFAULT = DB_CHECKPOINT_PAGES + BATCH_PAGES,
    CHUNK = 120 << 10 /* SQLite's files take less than 128 KiB at once */
};

/* What is there as it is, zeros behind it up to `room`. Written, not just reserved: a
 * reserved block is noted anew when it is first written. */
static int write_all(sqlite3_file *wal, sqlite3_int64 size, sqlite3_int64 room,
                     uint8_t chunk[CHUNK])
{
    sqlite3_int64 end = size < room ? room : size;
    int code = SQLITE_OK;

    for (sqlite3_int64 at = 0; at < end && code == SQLITE_OK; at += CHUNK) {
        int len = end - at < CHUNK ? (int)(end - at) : CHUNK;

        code = wal->pMethods->xRead(wal, chunk, len, at); /* zeros behind the end */
        if (code == SQLITE_OK || code == SQLITE_IOERR_SHORT_READ)
            code = wal->pMethods->xWrite(wal, chunk, len, at);
    }
    return code == SQLITE_OK ? wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) : code;
}

static int write_log(sqlite3_file *wal, sqlite3_int64 room)
{
    sqlite3_int64 size = 0;
    uint8_t *chunk = malloc(CHUNK);
    int code = chunk == NULL ? SQLITE_NOMEM : wal->pMethods->xFileSize(wal, &size);

    if (code == SQLITE_OK)
        code = write_all(wal, size, room, chunk);
    free(chunk);
    return code;
}

int db_make_room(struct db *db, uint32_t pages, struct err *err)
{
    sqlite3_int64 room =
        WAL_HEAD + (sqlite3_int64)(pages != 0 ? pages : PAGES_DEFAULT) * WAL_FRAME;
    sqlite3_file *wal = NULL;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

    if (code == SQLITE_OK && wal != NULL && wal->pMethods != NULL)
        code = write_log(wal, room);
    if (code == SQLITE_FULL)
        return err_set(err, ERR_FULL,
                       "%s: no room for %lld bytes of the write-ahead log: free space "
                       "there and restart; nothing that was acknowledged is lost",
                       db->dir, room);
    if (code == SQLITE_NOMEM)
        return err_set(err, ERR_NOMEM, "room in %s/raft.db-wal", db->dir);
    if (code != SQLITE_OK)
        return err_set(err, ERR_IO,
                       "write %s/raft.db-wal anew: %s: check the disk and the "
                       "permissions, then restart; " DB_CURE,
                       db->dir, sqlite3_errstr(code));
    return 0;
}
