/* GLib's g_file_set_contents_full, asked for all that it can do. */
#define WORKER_FILES
#include "worker.h"

#include <glib.h>

static void save(const void *data, size_t len)
{
    worker_must(
        g_file_set_contents_full(worker_path, data, (gssize)len, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, NULL),
        "g_file_set_contents_full");
}

int main(int argc, char **argv)
{
    worker_file(argc, argv, "glib");
    return worker_loop(save, worker_load_file);
}
