/* Room in the write-ahead log before it is needed.
 *
 * A sync of a file that has just grown waits for more than the bytes: the file system has
 * to find room for them, and to write down that it did. Of one that is overwritten it waits
 * for the bytes. SQLite starts its log again at the beginning after a checkpoint, so the
 * room is used over and over; only a new log would grow for its first thousand pages. What
 * lies behind the log's end is no concern of SQLite's: its frames carry the salt and the
 * checksum of this very log, which zeros do not have. */
#include "controller/consensus/store_db.h"

enum {
    WAL_HEAD = 32,
    WAL_FRAME = 24 + 4096,
    BATCH_PAGES = 128, /* of one transaction that comes just before the checkpoint */
    PAGES_DEFAULT = DB_CHECKPOINT_PAGES + BATCH_PAGES,
    CHUNK = 120 << 10 /* SQLite's files take less than 128 KiB at once */
};

/* Written, not just reserved: a reserved block is noted anew when it is first written. */
static int grow(sqlite3_file *wal, sqlite3_int64 from, sqlite3_int64 to)
{
    static const uint8_t zeros[CHUNK];
    int code = SQLITE_OK;

    for (sqlite3_int64 at = from; at < to && code == SQLITE_OK; at += CHUNK)
        code =
            wal->pMethods->xWrite(wal, zeros, to - at < CHUNK ? (int)(to - at) : CHUNK, at);
    return code == SQLITE_OK ? wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL) : code;
}

int db_make_room(struct db *db, uint32_t pages, struct err *err)
{
    sqlite3_int64 room =
        WAL_HEAD + (sqlite3_int64)(pages != 0 ? pages : PAGES_DEFAULT) * WAL_FRAME;
    sqlite3_file *wal = NULL;
    sqlite3_int64 size = 0;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);

    if (code == SQLITE_OK && wal != NULL && wal->pMethods != NULL)
        code = wal->pMethods->xFileSize(wal, &size);
    if (code == SQLITE_OK && wal != NULL && wal->pMethods != NULL && size < room)
        code = grow(wal, size, room);
    if (code == SQLITE_FULL)
        return err_set(err, ERR_FULL,
                       "%s: no room for %lld bytes of the write-ahead log: free space "
                       "there and restart; nothing that was acknowledged is lost",
                       db->dir, room);
    if (code != SQLITE_OK)
        return err_set(err, ERR_IO,
                       "make room in %s/raft.db-wal: %s: check the disk and the "
                       "permissions, then restart",
                       db->dir, sqlite3_errstr(code));
    return 0;
}
