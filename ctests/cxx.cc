// The header as C++17, in two translation units of one program: this file is compiled twice.
#include "steadfast.h"
// Twice, as headers that include one another do it.
#include "steadfast.h"

#ifdef SECOND_UNIT

extern "C++" size_t size_of_hooks_elsewhere()
{
    return steadfast_hooks_init().size;
}

#else

#include <stdexcept>
#include <string>

#include "tap.h"

size_t size_of_hooks_elsewhere();

namespace {

// Hooks are plain function pointers: a lambda without a capture will do.
int saves_with_a_lambda(const std::string &path)
{
    int fsyncs = 0;
    steadfast_hooks hooks = steadfast_hooks_init();
    hooks.user = &fsyncs;
    hooks.fsync = [](void *user, int32_t fd) -> int32_t {
        ++*static_cast<int *>(user);
        return steadfast_hooks_default()->fsync(nullptr, fd);
    };
    steadfast_context *context = nullptr;
    if (steadfast_context_new(&hooks, &context) != STEADFAST_OK)
        return -1;
    steadfast_save_options options = {};
    options.size = sizeof options;
    options.flags = STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_STRICT;
    const std::string data = "from C++";
    int result = steadfast_state_save(context, path.c_str(), data.data(), data.size(), &options, nullptr);
    steadfast_context_free(context);
    return result == STEADFAST_OK ? fsyncs : -1;
}

struct counts_its_end {
    int *ends;
    ~counts_its_end() { ++*ends; }
};

__attribute__((noinline)) void throws_past_a_destructor(int *ends)
{
    counts_its_end local{ ends };
    throw std::runtime_error("expected");
}

// The unwinder of the program is that of the compiler, also where the archive is linked.
int exceptions_pass()
{
    int ends = 0;
    try {
        throws_past_a_destructor(&ends);
    } catch (const std::runtime_error &) {
        return ends;
    }
    return -1;
}

} // namespace

int main()
{
    const char *base = getenv("TMPDIR");
    std::string dir = std::string(base == nullptr ? "/tmp" : base) + "/steadfast-cxx-XXXXXX";
    if (mkdtemp(dir.data()) == nullptr)
        bail_out("no temporary directory");
    const std::string path = dir + "/state";
    is_int(saves_with_a_lambda(path), 2, "a save from C++ with a lambda as a hook");
    steadfast_state state = {};
    state.size = sizeof state;
    steadfast_report report = {};
    report.size = sizeof report;
    is_int(steadfast_state_load(nullptr, path.c_str(), nullptr, &state, &report), STEADFAST_OK, "and a load");
    ok(std::string(static_cast<const char *>(state.data), state.len) == "from C++", "of the same bytes");
    steadfast_state_free(&state);
    is_int(size_of_hooks_elsewhere(), sizeof(steadfast_hooks), "the inline initialiser in two translation units");
    is_int(exceptions_pass(), 1, "an exception passes a destructor and is caught");
    unlink(path.c_str());
    rmdir(dir.c_str());
    return done_testing();
}

#endif
