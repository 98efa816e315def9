/* LevelDB, or with -DROCKSDB RocksDB: one key, put with a sync of the log. Their C interfaces differ by a prefix. */
#include "worker.h"

#ifdef ROCKSDB
#include <rocksdb/c.h>
#define DB(name) rocksdb_##name
#define DIRECTORY "rocksdb"
#else
#include <leveldb/c.h>
#define DB(name) leveldb_##name
#define DIRECTORY "leveldb"
#endif

typedef DB(t) database;
typedef DB(options_t) open_options;
typedef DB(writeoptions_t) write_options;
typedef DB(readoptions_t) read_options;

static database *db;
static write_options *synced;
static read_options *reading;

static void save(const void *data, size_t len)
{
    char *error = NULL;
    DB(put)(db, synced, "state", 5, data, len, &error);
    worker_must(error == NULL, "put");
}

static size_t load(void *buf, size_t cap)
{
    size_t len = 0;
    char *error = NULL, *value = DB(get)(db, reading, "state", 5, &len, &error);
    worker_must(error == NULL && value != NULL, "get");
    memcpy(buf, value, len < cap ? len : cap);
    DB(free)(value);
    return len;
}

int main(int argc, char **argv)
{
    open_options *options = DB(options_create)();
    DB(options_set_create_if_missing)(options, 1);
    char *error = NULL;
    db = DB(open)(options, worker_file(argc, argv, DIRECTORY), &error);
    worker_must(error == NULL, "open");
    synced = DB(writeoptions_create)();
    DB(writeoptions_set_sync)(synced, 1);
    reading = DB(readoptions_create)();
    worker_loop(save, load);
    DB(close)(db);
    return 0;
}
