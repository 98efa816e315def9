// A counter that several processes raise at once, without a lock: compare and swap on the state's generation.
// c++ -std=c++17 counter.cc -lsteadfast
#include <steadfast.hpp>

#include <cstdio>
#include <string>

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "counter.state";
    for (;;) {
        std::error_code ec;
        const steadfast::state state = steadfast::load(path, ec);
        if (ec && ec != std::errc::no_such_file_or_directory) {
            std::fprintf(stderr, "%s\n", state.report().message());
            return 1;
        }
        // Without a state yet the generation is 0, which as an expectation means just that.
        const long long count = state ? std::stoll(std::string(state.view())) + 1 : 1;
        const auto options = steadfast::save_options().if_generation(state.generation());
        const steadfast::report saved = steadfast::save(path, std::to_string(count), ec, options);
        if (ec == steadfast::errc::conflict)
            continue; // someone else was first: read theirs
        if (ec) {
            std::fprintf(stderr, "%s\n", saved.message());
            return 1;
        }
        if (!saved.durable())
            std::fprintf(stderr, "saved, but a power cut may lose it: %s\n", saved.message());
        std::printf("%lld\n", count);
        return 0;
    }
}
