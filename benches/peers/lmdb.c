/* LMDB: one value, put in a transaction of its own; the default, synchronous commit. */
#include "worker.h"

#include <lmdb.h>

static MDB_env *env;
static MDB_dbi dbi;
static MDB_val key = { 5, "state" };

static void save(const void *data, size_t len)
{
    MDB_txn *txn;
    MDB_val value = { len, (void *)data };
    worker_must(mdb_txn_begin(env, NULL, 0, &txn) == 0, "mdb_txn_begin");
    worker_must(mdb_put(txn, dbi, &key, &value, 0) == 0, "mdb_put");
    worker_must(mdb_txn_commit(txn) == 0, "mdb_txn_commit");
}

static size_t load(void *buf, size_t cap)
{
    MDB_txn *txn;
    MDB_val value;
    worker_must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0, "mdb_txn_begin");
    worker_must(mdb_get(txn, dbi, &key, &value) == 0, "mdb_get");
    memcpy(buf, value.mv_data, value.mv_size < cap ? value.mv_size : cap);
    mdb_txn_abort(txn);
    return value.mv_size;
}

int main(int argc, char **argv)
{
    MDB_txn *txn;
    worker_must(mdb_env_create(&env) == 0, "mdb_env_create");
    worker_must(mdb_env_set_mapsize(env, (size_t)1 << 30) == 0, "mdb_env_set_mapsize");
    worker_must(mdb_env_open(env, worker_file(argc, argv, "lmdb.db"), MDB_NOSUBDIR, 0600) == 0, "mdb_env_open");
    worker_must(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, 0, &dbi) == 0 && mdb_txn_commit(txn) == 0,
                "mdb_dbi_open");
    worker_loop(save, load);
    mdb_env_close(env);
    return 0;
}
