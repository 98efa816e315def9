/* SQLite: one row, replaced in a transaction of its own; synchronous = FULL. First argument: the journal mode. */
#include "worker.h"

#include <sqlite3.h>

static sqlite3 *db;
static sqlite3_stmt *put, *get;

static void save(const void *data, size_t len)
{
    worker_must(sqlite3_bind_blob64(put, 1, data, len, SQLITE_STATIC) == SQLITE_OK, "sqlite3_bind_blob64");
    worker_must(sqlite3_step(put) == SQLITE_DONE, "sqlite3_step");
    worker_must(sqlite3_reset(put) == SQLITE_OK, "sqlite3_reset");
}

static size_t load(void *buf, size_t cap)
{
    worker_must(sqlite3_step(get) == SQLITE_ROW, "sqlite3_step");
    size_t len = (size_t)sqlite3_column_bytes(get, 0);
    memcpy(buf, sqlite3_column_blob(get, 0), len < cap ? len : cap);
    sqlite3_reset(get);
    return len;
}

static int is(void *wanted, int columns, char **values, char **names)
{
    (void)names;
    return columns == 1 && strcasecmp(values[0], wanted) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    char text[64];
    worker_must(argc == 3, "sqlite MODE DIRECTORY");
    snprintf(text, sizeof text, "sqlite-%s.db", argv[1]);
    worker_must(sqlite3_open(worker_file(argc, argv, text), &db) == SQLITE_OK, "sqlite3_open");
    snprintf(text, sizeof text, "PRAGMA journal_mode = %s", argv[1]);
    worker_must(sqlite3_exec(db, text, is, argv[1], NULL) == SQLITE_OK, "journal_mode");
    worker_must(sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL) == SQLITE_OK, "synchronous");
    worker_must(sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, data BLOB)", NULL, NULL, NULL) == SQLITE_OK,
                "CREATE TABLE");
    worker_must(sqlite3_prepare_v2(db, "INSERT OR REPLACE INTO state VALUES (1, ?)", -1, &put, NULL) == SQLITE_OK, "prepare");
    worker_must(sqlite3_prepare_v2(db, "SELECT data FROM state WHERE id = 1", -1, &get, NULL) == SQLITE_OK, "prepare");
    worker_loop(save, load);
    sqlite3_finalize(put);
    sqlite3_finalize(get);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
