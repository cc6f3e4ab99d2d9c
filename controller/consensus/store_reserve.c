/* Room on the disk that is kept for leases and decisions.
 *
 * A controller whose disk is full stops (I9: it does not go on without its log and trail),
 * and with two such neighbours nobody renews leases. So a file beside the database holds
 * some room while there is enough of it. When the disk is nearly full the file goes, and
 * what it held is taken for our own two files at once, before anybody else can: the
 * write-ahead log gets longer, and the database's file is told to be one chunk of all that,
 * so that SQLite never cuts the room off again. It lasts until it is used up, or somebody
 * makes room, and the file is made anew.
 *
 * Looked at before each transaction and each checkpoint: a database grows only then. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "controller/consensus/store_db.h"

enum {
    BLOCK = 512, /* of st_blocks */
    PAGE = 4096,
    WAL_PAGES = 2 * DB_CHECKPOINT_PAGES, /* twice what comes before a checkpoint */
    WAL_MORE = 4 << 20                   /* what those take, at most, of the room */
};

static void reserve_path(const struct db *db, char path[DB_PATH_SIZE + 16])
{
    (void)snprintf(path, DB_PATH_SIZE + 16, "%s/reserve", db->dir);
}

/* What others than root may still use. A disk that does not say is not full. */
static uint64_t free_bytes(const struct db *db)
{
    struct statvfs st;

    if (statvfs(db->dir, &st) != 0)
        return UINT64_MAX;
    return (uint64_t)st.f_bavail * st.f_frsize;
}

static uint64_t low_mark(const struct db *db) { return db->reserve.size / 4; }

uint64_t db_reserve_wants(const struct db *db)
{
    return db->reserve.size + 2 * low_mark(db);
}

static bool is_whole(int fd, uint64_t size)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (uint64_t)st.st_size == size &&
           (uint64_t)st.st_blocks * BLOCK >= size;
}

/* ---- the database's own room ----------------------------------------------------------
 */

static uint64_t page_count(struct db *db)
{
    sqlite3_stmt *s = NULL;
    uint64_t n = 0;

    if (sqlite3_prepare_v2(db->handle, "PRAGMA page_count", -1, &s, NULL) == SQLITE_OK &&
        sqlite3_step(s) == SQLITE_ROW)
        n = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* The file of the database is so long from now on: SQLite cuts it to whole chunks, and it
 * is one. Beyond 2 GiB it knows no chunks: the room stays free then, for whoever comes
 * first.
 */
static void pin(struct db *db, uint64_t whole)
{
    sqlite3_int64 hint = (sqlite3_int64)whole;
    int chunk = whole <= INT_MAX ? (int)whole : 0;

    db->reserve.pinned = (uint64_t)chunk;
    (void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
    if (chunk != 0)
        (void)sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_SIZE_HINT, &hint);
}

/* What a former life has taken must not be cut off by the first checkpoint of this one. */
static void pin_as_it_is(struct db *db)
{
    char path[DB_PATH_SIZE + 16];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s/raft.db", db->dir);
    if (stat(path, &st) == 0 && (uint64_t)st.st_size > page_count(db) * PAGE)
        pin(db, (uint64_t)st.st_size);
}

/* A chunk that is used up would be followed by a second one as large. */
static void unpin_if_used_up(struct db *db)
{
    if (db->reserve.pinned != 0 && page_count(db) * PAGE >= db->reserve.pinned)
        pin(db, 0);
}

/* ---- holding --------------------------------------------------------------------------
 */

/* Reserved blocks are enough: nobody reads them, and the file is only ever removed. */
static bool hold(struct db *db)
{
    char path[DB_PATH_SIZE + 16];
    AUTO(auto_close) int fd = -1;
    bool held;

    reserve_path(db, path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    held = is_whole(fd, db->reserve.size) ||
           (ftruncate(fd, (off_t)db->reserve.size) == 0 &&
            posix_fallocate(fd, 0, (off_t)db->reserve.size) == 0);
    if (!held)
        (void)unlink(path);
    return held;
}

void db_reserve_open(struct db *db, uint64_t size)
{
    char path[DB_PATH_SIZE + 16];
    AUTO(auto_close) int fd = -1;

    db->reserve = (struct db_reserve){.size = size};
    reserve_path(db, path);
    if (size == 0) {
        (void)unlink(path);
        return;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    /* Of another size, or half made: as it is nobody would ever let it go. */
    if (fd >= 0 && !is_whole(fd, size))
        (void)unlink(path);
    db->reserve.held = (fd >= 0 && is_whole(fd, size)) ||
                       (free_bytes(db) >= size + low_mark(db) && hold(db));
    if (!db->reserve.held)
        pin_as_it_is(db);
    db->reserve.free = free_bytes(db);
}

/* ---- letting go -----------------------------------------------------------------------
 */

/* Whatever is not to be had here will be missed later, and said then. */
static int let_go(struct db *db, struct err *err)
{
    char path[DB_PATH_SIZE + 16];
    int status;

    reserve_path(db, path);
    if (unlink(path) != 0)
        return 0;
    db->reserve.held = false;
    pin(db, page_count(db) * PAGE + db->reserve.size - WAL_MORE);
    status = db_make_room(db, WAL_PAGES, err);
    return status == ERR_FULL ? 0 : status;
}

int db_reserve_look(struct db *db, struct err *err)
{
    if (db->reserve.size == 0)
        return 0;
    db->reserve.free = free_bytes(db);
    if (db->reserve.held && db->reserve.free < low_mark(db))
        return let_go(db, err);
    unpin_if_used_up(db);
    return 0;
}

void db_reserve_mend(struct db *db)
{
    if (db->reserve.size == 0 || db->reserve.held || free_bytes(db) < db_reserve_wants(db))
        return;
    db->reserve.held = hold(db);
    if (db->reserve.held)
        pin(db, 0);
    db->reserve.free = free_bytes(db);
}
