// steadfast.hpp by error codes: compiled with and without exceptions and run-time type information.
#include "other_unit.h"
#include "scratch.h"
#include "steadfast.hpp" // twice, as headers that include one another do it

#include <array>
#include <fcntl.h>
#include <optional>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <thread>
#include <vector>
#if __cplusplus >= 202002L
#include <span>
#endif

#include "tap.h" // last: its ok() is a macro

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

static_assert(!std::is_copy_constructible_v<steadfast::state> && std::is_nothrow_move_constructible_v<steadfast::state>);
static_assert(!std::is_copy_constructible_v<steadfast::context> && std::is_nothrow_move_constructible_v<steadfast::context>);
// Things that are not bytes are not data at all.
static_assert(!std::is_convertible_v<std::vector<int>, steadfast::data_arg>);
static_assert(!std::is_convertible_v<std::u16string, steadfast::data_arg>);
static_assert(!std::is_constructible_v<steadfast::batch_entry, const char *, std::string>);
static_assert(std::is_constructible_v<steadfast::batch_entry, const char *, const std::string &>);
static_assert(noexcept(steadfast::save("", "", std::declval<std::error_code &>())));

std::string loaded(const steadfast::path_arg &path)
{
    std::error_code ec;
    const steadfast::state state = steadfast::load(path, ec);
    return state ? std::string(state.view()) : "error: " + ec.message();
}

void a_state_round_trips(const scratch &dir)
{
    std::error_code ec = std::make_error_code(std::errc::io_error);
    const std::string path = dir / "round";
    const steadfast::report saved = steadfast::save(path, "{\"jobs\": 3}", ec, steadfast::save_options().schema(7).mode(0640));
    ok(!ec && saved && saved.durable(), "a save clears the error code and is durable");
    is_int(saved.generation(), 1, "the report has the generation");
    ok(saved.name() == "STEADFAST_OK"sv && saved.code() == std::error_code(), "and the name of the result");
    is_int(saved.on_disk(), STEADFAST_ON_DISK_NEW, "and what is on disk");

    steadfast::state state = steadfast::load(path, ec);
    ok(!ec && state && state.view() == "{\"jobs\": 3}" && state.data()[state.size()] == '\0', "a load gives the bytes back");
    is_int(state.schema(), 7, "and the schema");
    ok(!state.recovered() && state.generation() == 1, "from the current state");
    const auto age = std::chrono::system_clock::now() - state.saved_at();
    ok(age > -1h && age < 1h, "saved just now");
    std::string hex;
    for (const std::uint8_t byte : state.sha256()) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", byte);
        hex += two;
    }
    ok(content(path).substr(0, 64) == hex, "and the digest that the file begins with");

    const char *data = state.data();
    steadfast::state moved = std::move(state);
    ok(moved.data() == data && !state && state.size() == 0, "a state moves"); // NOLINT: asked on purpose
    steadfast::state other = steadfast::load(path, ec);
    other = std::move(moved);
    ok(other.data() == data && !moved, "and is move-assigned");  // NOLINT
    steadfast::state &self = other;
    other = std::move(self);
    ok(other.data() == data, "also to itself");
    ok(load_in_other_unit(path, ec).size() == 11 && !ec, "a state comes from another translation unit");
}

void all_kinds_of_data_and_paths(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "kinds";
    steadfast::save(path.c_str(), "with\0nul"s, ec);
    ok(loaded(std::filesystem::path(path)) == "with\0nul"s, "std::string data, path as const char* and filesystem::path");
    steadfast::save(std::string_view(path + "+cut").substr(0, path.size()), "view"sv, ec);
    ok(!ec && loaded(path) == "view", "a string_view path without a NUL behind it");
    steadfast::save(path, std::vector<std::byte>{std::byte{1}, std::byte{2}}, ec);
    ok(loaded(path) == "\1\2", "vector<byte>");
    const unsigned char raw[] = {3, 4, 0};
    steadfast::save(path, raw, ec);
    ok(loaded(path) == "\3\4\0"s, "an array of unsigned char, whole");
    steadfast::save(path, std::array<char, 2>{'a', 'b'}, ec);
    ok(loaded(path) == "ab", "array<char>");
    const char bytes[2] = {'c', 'd'};
    steadfast::save(path, bytes, ec);
    ok(loaded(path) == "cd", "an array of char without a NUL at its end: bytes, and no byte more");
    const char zeros[3] = {'e', '\0', 'f'};
    steadfast::save(path, zeros, ec);
    ok(loaded(path) == "e\0f"s, "with a NUL inside");
    char text[8] = "gh";
    steadfast::save(path, text, ec);
    ok(loaded(path) == "gh", "an array of char that ends in NUL: text");
    char *pointer = text;
    steadfast::save(path, pointer, ec);
    ok(loaded(path) == "gh", "char*");
    const int number = 258;
    steadfast::save(path, {&number, sizeof number}, ec);
    ok(loaded(path) == std::string(reinterpret_cast<const char *>(&number), sizeof number), "pointer and length");
    steadfast::save(path, nullptr, ec);
    ok(!ec && loaded(path).empty(), "a null pointer: nothing");
    steadfast::save(path, {nullptr, 0}, ec);
    ok(!ec && loaded(path).empty(), "nothing at all");
#if __cplusplus >= 202002L
    const std::array<std::byte, 1> one{std::byte{'s'}};
    steadfast::save(path, std::span(one), ec);
    ok(loaded(path) == "s", "span<const byte>");
#endif
}

void paths_that_are_none(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "cut";
    const std::string with_nul = path + "\0tail"s;
    const steadfast::report refused = steadfast::save(with_nul, "x", ec);
    ok(ec == std::errc::invalid_argument && refused.step() == STEADFAST_STEP_ARGUMENTS && !refused.durable(),
       "a std::string with a NUL in it is refused: %s", refused.message());
    steadfast::save(std::string_view(with_nul), "x", ec);
    ok(ec == std::errc::invalid_argument, "so is a string_view");
    steadfast::save(std::filesystem::path(with_nul), "x", ec);
    ok(ec == std::errc::invalid_argument, "and a filesystem::path");
    ok(!exists(path), "and nothing is cut to what is before it");
    ok(!steadfast::load(with_nul, ec) && ec == std::errc::invalid_argument, "load");
    ok(!steadfast::lock(with_nul, 0ms, ec) && ec == std::errc::invalid_argument, "lock");
    steadfast::inspect(with_nul, ec);
    ok(ec == std::errc::invalid_argument, "inspect");
    steadfast::clean_stale(with_nul, ec);
    ok(ec == std::errc::invalid_argument, "clean_stale");
    const std::string longest(4096, 'x');
    steadfast::save(std::string_view(longest), "x", ec);
    ok(ec == std::errc::filename_too_long, "a string_view of 4096 bytes is too long");
    steadfast::save(static_cast<const char *>(nullptr), "x", ec);
    ok(ec == std::errc::invalid_argument, "a null pointer");
}

void errors_are_error_codes(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "errors";
    steadfast::state none = steadfast::load(path, ec);
    ok(!none && ec == std::errc::no_such_file_or_directory && ec.category() == std::generic_category(),
       "errnos are of the generic category");
    ok(std::strstr(none.report().message(), path.c_str()) != nullptr, "the report names the path: %s", none.report().message());
    steadfast::save(path, "whole", ec);
    std::string bytes = content(path);
    bytes.back() ^= 1;
    put(path, bytes);
    const steadfast::state damaged = steadfast::load(path, ec);
    ok(ec == steadfast::errc::digest && ec.category() == steadfast::category(), "damage is of the library's category");
    ok(!damaged && damaged.data() == nullptr, "and gives no bytes");
    ok(ec.message() == steadfast_status_message(STEADFAST_E_DIGEST) && steadfast::category().name() == "steadfast"sv,
       "with the library's words: %s", ec.message().c_str());
    ok(ec != std::errc::io_error, "and is no I/O error");
    ok(&category_of_other_unit() == &steadfast::category(), "the category is one in all translation units");
    steadfast::load(path, ec, steadfast::load_options().max_size(2));
    ok(ec == steadfast::errc::too_large && ec == std::errc::file_too_large, "max_size");
    steadfast::save(path, "whole", ec, steadfast::save_options().schema(1));
    steadfast::load(path, ec, steadfast::load_options().require_schema(2));
    ok(ec == steadfast::errc::schema, "require_schema");
    steadfast::save(path, "late", ec, steadfast::save_options().if_generation(77));
    ok(ec == steadfast::errc::conflict, "if_generation");
    ok(loaded(path) == "whole", "and then nothing was saved");
}

void options_reach_the_library(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "options";
    steadfast::save(path, "one", ec);
    steadfast::save(path, "two", ec, steadfast::save_options().keep_previous());
    std::filesystem::remove(path, ec);
    ok(!steadfast::load(path, ec) && ec == steadfast::errc::lost, "a previous state alone is lost");
    const steadfast::state state = steadfast::load(path, ec, steadfast::load_options().recover());
    ok(!ec && state.recovered() && state.view() == "one" && state.report().status() == STEADFAST_RECOVERED, "recover");
    const std::string deep = dir / "a/b/c";
    steadfast::save(deep, "x", ec);
    ok(ec == std::errc::no_such_file_or_directory, "no parents");
    steadfast::save(deep, "x", ec, steadfast::save_options().create_parents());
    ok(!ec && loaded(deep) == "x", "create_parents");
    const std::string link = dir / "link";
    std::filesystem::create_symlink(deep, link, ec);
    steadfast::save(link, "y", ec);
    ok(ec == steadfast::errc::symlink && ec == std::errc::too_many_symbolic_link_levels, "a link is refused");
    steadfast::save(link, "y", ec, steadfast::save_options().follow_symlink());
    ok(!ec && loaded(deep) == "y", "follow_symlink");
    const steadfast::report fast = steadfast::save(path, "z", ec, steadfast::save_options().no_sync());
    ok(!ec && fast && !fast.durable() && fast.on_disk() == STEADFAST_ON_DISK_UNKNOWN, "no_sync is done, but not durable");
    steadfast::save(path, "durable", ec);
    const steadfast::report kept = steadfast::save(path, "q", ec, steadfast::save_options().no_sync().keep_previous());
    ok(kept.on_disk() == STEADFAST_ON_DISK_EITHER && loaded(path + ".prev") == "durable", "with keep_previous the durable one stays");
}

void others_keep_a_save_waiting(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "busy";
    steadfast::save(path, "old", ec);
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    flock(fd, LOCK_SH);
    const auto begun = std::chrono::steady_clock::now();
    for (const steadfast::timeout wait : {steadfast::timeout(0s), steadfast::timeout(20ms)}) {
        const steadfast::report told = steadfast::save(path, "new", ec, steadfast::save_options().if_generation(1).timeout(wait));
        ok(ec == steadfast::errc::busy && ec == std::errc::timed_out && told.on_disk() == STEADFAST_ON_DISK_OLD, "busy after %lld ms: %s",
           static_cast<long long>(wait.ms()), told.message());
    }
    ok(std::chrono::steady_clock::now() - begun < 5s, "that was not the library's own patience");
    std::thread releases([fd] {
        std::this_thread::sleep_for(20ms);
        flock(fd, LOCK_UN);
    });
    steadfast::save(path, "new", ec, steadfast::save_options().if_generation(1).timeout(steadfast::timeout::forever()));
    ok(!ec && loaded(path) == "new", "timeout::forever waits until they are done");
    releases.join();
    close(fd);
}

void contexts_at_a_directory(const scratch &dir)
{
    std::error_code ec;
    const std::string inside = dir / "inside", outside = dir / "outside";
    std::filesystem::create_directory(inside, ec);
    steadfast::save(outside, "not ours", ec);
    std::filesystem::create_symlink("../outside", inside + "/link", ec);
    const steadfast::context here = steadfast::context::at(inside, ec);
    ok(!ec && here, "a context at a directory");
    steadfast::save("state", "x", ec, steadfast::save_options().with(here));
    ok(!ec && loaded(inside + "/state") == "x", "relative paths begin there");
    const steadfast::lock held("lock", 0ms, ec, steadfast::lock_options().with(here));
    ok(held && exists(inside + "/lock"), "locks as well");
    const int fd = open(inside.c_str(), O_RDONLY | O_CLOEXEC);
    const steadfast::context beneath = steadfast::context::at(fd, ec, STEADFAST_CONTEXT_BENEATH);
    close(fd);
    ok(!ec && beneath, "at a descriptor, which is then closed");
    steadfast::save("state", "y", ec, steadfast::save_options().with(beneath));
    ok(!ec && loaded(inside + "/state") == "y", "and it is the same directory");
    for (const char *path : {"../outside", outside.c_str(), "link"}) {
        steadfast::save(path, "z", ec, steadfast::save_options().follow_symlink().with(beneath));
        ok(ec == std::errc::cross_device_link && loaded(outside) == "not ours", "beneath: %s leads out", path);
    }
    ok(!steadfast::context::at(outside, ec) && ec == std::errc::not_a_directory, "no directory");
    ok(!steadfast::context::at(dir / "none", ec) && ec == std::errc::no_such_file_or_directory, "nothing there");
    ok(!steadfast::context::at(-5, ec) && ec == std::errc::bad_file_descriptor, "a bad descriptor");
}

void into_the_callers_memory(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "into";
    steadfast::save(path, "payload", ec);
    char buffer[8] = {};
    const steadfast::loaded all = steadfast::load_into(path, buffer, sizeof buffer, ec);
    ok(!ec && all.size() == 7 && all.generation() == 1 && !all.recovered() && std::string_view(buffer, 7) == "payload", "load_into");
    const steadfast::loaded more = steadfast::load_into(path, buffer, 3, ec);
    ok(ec == steadfast::errc::too_large && more.size() == 7, "too small a buffer: how much is needed");
    steadfast::load_into("\0"s, buffer, sizeof buffer, ec);
    ok(ec == std::errc::invalid_argument, "a path with a NUL in it");
}

void batches(const scratch &dir)
{
    std::error_code ec;
    const std::string one = dir / "one", link = dir / "batch-link", three = dir / "three";
    std::filesystem::create_symlink("elsewhere", link, ec);
    steadfast::batch_entry entries[] = {{one, "1"}, {link.c_str(), "2"sv}, {three, "3"}};
    const steadfast::report all = steadfast::save_batch(entries, 3, ec, steadfast::save_options().schema(4));
    ok(ec == steadfast::errc::symlink && all.code() == ec, "a batch answers with the first error");
    ok(entries[0].durable() && entries[0].generation() == 1 && entries[0].code() == std::error_code(), "each entry with its own");
    ok(entries[1].code() == steadfast::errc::symlink && entries[2].durable(), "also the one that failed, and those after it");
    ok(loaded(one) == "1" && loaded(three) == "3" && steadfast::load(one, ec).schema() == 4, "and the others are saved");
    steadfast::batch_entry two[] = {{one, "4"}, {three, "5"}};
    ok(steadfast::save_batch(two, 2, ec, steadfast::save_options().sync_file_system()).durable() && !ec, "one syncfs for all");
    ok(steadfast::save_batch(nullptr, 0, ec).durable() && !ec, "nothing to do");
    const std::string with_nul = one + "\0x"s;
    steadfast::batch_entry bad[] = {{one, "6"}, {with_nul, "7"}};
    steadfast::save_batch(bad, 2, ec);
    ok(ec == std::errc::invalid_argument && bad[1].code() == ec, "a NUL in a path");
    ok(bad[0].durable() && loaded(one) == "6", "refuses that entry alone");
    steadfast::save_batch(two, 2, ec, steadfast::save_options().strict().no_sync());
    ok(ec == std::errc::invalid_argument && loaded(one) == "6", "a batch that is refused whole");
    ok(two[0].code() == std::errc::operation_canceled && two[1].code() == std::errc::operation_canceled, "says so in each entry");
    steadfast::save_batch(two, 2, ec, steadfast::save_options().no_sync());
    ok(!ec && two[0].on_disk() == STEADFAST_ON_DISK_UNKNOWN && two[0].step() == 0, "an entry says what is on disk");
    const steadfast::context failing = steadfast::context::failing(STEADFAST_CALL_FSYNC, 1, EIO, true, ec);
    steadfast::save_batch(two, 1, ec, steadfast::save_options().with(failing));
    ok(two[0].step() == STEADFAST_STEP_SYNC_FILE && two[0].os_error() == EIO, "and which call failed");
}

void hooks_and_faults(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "hooks";
    steadfast::save(path, "old", ec);
    // TC-80-4: the state is saved even if fsync fails, and the result says that it is not durable.
    const steadfast::context failing = steadfast::context::failing(STEADFAST_CALL_FSYNC, 1, EIO, true, ec);
    ok(failing && !ec, "a context that injects a fault");
    const steadfast::report saved = steadfast::save(path, "new", ec, steadfast::save_options().with(failing));
    ok(!ec && saved && !saved.durable() && saved.os_error() == EIO && saved.step() == STEADFAST_STEP_SYNC_FILE,
       "TC-80-4: fsync fails, the state is saved, not durable");
    ok(loaded(path) == "new", "and is there");
    steadfast::save(path, "strict", ec, steadfast::save_options().strict().with(failing));
    ok(ec == steadfast::errc::not_saved_durably && loaded(path) == "new", "strict: nothing is replaced");

    int fsyncs = 0;
    steadfast_hooks hooks = steadfast_hooks_init();
    hooks.user = &fsyncs;
    hooks.fsync = [](void *user, std::int32_t fd) -> std::int32_t {
        ++*static_cast<int *>(user);
        return steadfast_hooks_default()->fsync(nullptr, fd);
    };
    steadfast::context counting(hooks, ec);
    steadfast::context moved = std::move(counting);
    steadfast::save(path, "counted", ec, steadfast::save_options().with(moved));
    ok(!ec && fsyncs == 2 && !counting, "a lambda as a hook, in a context that moved"); // NOLINT
    hooks.size = 3;
    ok(!steadfast::context(hooks, ec) && ec == std::errc::invalid_argument, "a table that is none");
}

void changed_by_what_it_is(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "changed";
    const auto append = [](const char *more) {
        return [more](const steadfast::state *old) { return std::optional(old ? std::string(old->view()) + more : std::string(more)); };
    };
    steadfast::report done = steadfast::update(path, append("1"), ec);
    ok(!ec && done.generation() == 1 && loaded(path) == "1", "an update of nothing makes the first state");
    done = steadfast::update(path, append("2"), ec, steadfast::save_options().keep_previous());
    ok(!ec && done.generation() == 2 && loaded(path) == "12" && loaded(path + ".prev") == "1", "an update is made of what is there");
    int calls = 0;
    done = steadfast::update(
        path,
        [&](const steadfast::state *old) {
            if (++calls == 1)
                steadfast::save(path, "theirs", ec);
            return std::optional(std::string(old->view()) + "+");
        },
        ec);
    ok(!ec && calls == 2 && loaded(path) == "theirs+", "if somebody else saves meanwhile, it is done again");
    done = steadfast::update(path, [](const steadfast::state *) { return std::optional<std::string>(); }, ec);
    ok(!ec && done && done.generation() == 4 && loaded(path) == "theirs+", "nothing leaves it as it is");
    done = steadfast::update(
        path,
        [&](const steadfast::state *) {
            steadfast::save(path, "theirs", ec);
            return std::optional("mine"s);
        },
        ec, steadfast::save_options().timeout(20ms));
    ok(ec == steadfast::errc::conflict && loaded(path) == "theirs", "for ever: errc::conflict, when the time is over");

    ok(steadfast::save(path, "theirs", ec, steadfast::save_options().set_mode(0640)).durable() &&
           std::filesystem::status(path).permissions() == std::filesystem::perms(0640),
       "set_mode is for a file that is there");
    steadfast::remove(path, ec, steadfast::save_options().if_generation(1));
    ok(ec == steadfast::errc::conflict && loaded(path) == "theirs", "remove: another generation is errc::conflict");
    done = steadfast::remove(path, ec);
    ok(!ec && done.durable() && !std::filesystem::exists(path) && !std::filesystem::exists(path + ".prev"), "removed");
    steadfast::remove(path, ec);
    ok(ec == std::errc::no_such_file_or_directory, "nothing there: no_such_file_or_directory");
}

void watched(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "watched";
    steadfast::watch watch(path, ec);
    ok(!ec && watch.fd() > 2, "a watch of nothing");
    watch.wait(0, 0ms, ec);
    ok(ec == std::errc::timed_out, "nothing happens: timed_out");
    std::thread saver([&] {
        std::error_code error;
        steadfast::save(path, "x", error);
    });
    steadfast::report seen = watch.wait(0, 20s, ec);
    saver.join();
    ok(!ec && seen.generation() == 1, "a save is seen");
    steadfast::watch moved = std::move(watch);
    ok(watch.fd() == -1 && moved.fd() > 2, "a watch can be moved");
    seen = moved.wait(7, steadfast::timeout::forever(), ec);
    ok(!ec && seen.generation() == 1, "another generation than the known one is told at once");
    steadfast::watch none("", ec);
    ok(ec == std::errc::invalid_argument && none.fd() == -1, "no path: invalid_argument");
}

void streams(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "streamed";
    steadfast::writer writer(path, ec);
    ok(!ec && writer, "a writer");
    writer.write("one, ", ec);
    writer.write(std::string("two"), ec);
    const int fd = writer.fd(ec);
    ok(!ec && fd > 2 && write(fd, ", three", 7) == 7, "and its descriptor");
    steadfast::writer moved = std::move(writer);
    ok(!writer && moved && !std::filesystem::exists(path), "it can be moved, and nothing is seen");
    steadfast::report done = moved.commit(ec);
    ok(!ec && done.generation() == 1 && loaded(path) == "one, two, three" && !moved, "commit saves");
    moved.commit(ec);
    ok(ec == std::errc::invalid_argument, "once");
    {
        steadfast::writer left(path, ec);
        left.write("left", ec);
    }
    steadfast::writer aborted(path, ec);
    aborted.abort();
    ok(loaded(path) == "one, two, three", "without a commit it is given up");
    steadfast::writer none(dir / "no/such", ec);
    ok(ec == std::errc::no_such_file_or_directory && !none, "no directory: no_such_file_or_directory");

    steadfast::reader reader(path, ec);
    char buffer[100];
    ok(!ec && reader && reader.size() == 15 && reader.generation() == 1 && !reader.recovered(), "a reader");
    ok(reader.read(5, buffer, 3, ec) == 3 && !ec && std::memcmp(buffer, "two", 3) == 0, "reads a part");
    ok(reader.read(15, buffer, 3, ec) == 0 && !ec, "and nothing at the end");
    steadfast::reader second = std::move(reader);
    ok(!reader && second.read(0, buffer, sizeof buffer, ec) == 15, "it can be moved");
    steadfast::reader missing(dir / "no", ec);
    ok(ec == std::errc::no_such_file_or_directory && !missing, "nothing there: no_such_file_or_directory");

    steadfast::output_stream out(steadfast::writer(path, ec));
    for (int i = 0; i < 10000; i++)
        out << i << '\n';
    done = out.commit(ec);
    ok(!ec && out && done.generation() == 2, "a stream");
    steadfast::input_stream in(steadfast::reader(path, ec));
    int right = 0;
    for (int i = 0, read = -1; in >> read; i++)
        right += read == i;
    ok(right == 10000 && in.eof() && !in.bad(), "reads what it wrote");
    std::string line;
    in.clear();
    in.seekg(-5, std::ios_base::end);
    ok(std::getline(in, line) && line == "9999" && in.tellg() == std::istream::pos_type(static_cast<std::streamoff>(in.source().size())),
       "it can seek");
    in.seekg(1, std::ios_base::end);
    ok(in.fail() && !in.bad(), "but not beyond the end");
    std::FILE *file = std::fopen(path.c_str(), "r+");
    std::fseek(file, 300, SEEK_SET);
    std::fputc('!', file);
    std::fclose(file);
    steadfast::input_stream changed(steadfast::reader(path, ec));
    ok(ec == steadfast::errc::digest && !(changed >> line) && changed.bad(), "damage: errc::digest, and a bad stream");
    steadfast::save(path, "whole", ec);
    steadfast::input_stream later(steadfast::reader(path, ec));
    file = std::fopen(path.c_str(), "r+");
    std::fseek(file, 256, SEEK_SET);
    std::fputc('!', file);
    std::fclose(file);
    ok(!(later >> line) && later.bad() && later.error() == steadfast::errc::digest, "damage that comes later makes it bad");
    {
        steadfast::output_stream dropped(steadfast::writer(path, ec));
        dropped << "dropped" << std::flush;
    }
    steadfast::output_stream empty(steadfast::writer(dir / "no/such", ec));
    ok(!(empty << std::string(10000, 'x')) && !std::filesystem::exists(dir / "no"), "a stream without a writer is bad");
    empty.commit(ec);
    ok(ec == std::errc::invalid_argument, "and cannot be committed");
}

// Writes in place, as an editor that knows nothing of us, and at another time.
void edit(const std::string &path, const std::string &bytes)
{
    put(path, bytes);
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - 1h);
}

bool is_tag(std::uint64_t generation)
{
    return generation >= std::uint64_t{1} << 63;
}

void plain_files(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "plain";
    const auto plain = steadfast::load_options().plain();
    put(path, "anybody's");
    const steadfast::state anybodys = steadfast::load(path, ec, plain);
    ok(!ec && anybodys && anybodys.view() == "anybody's" && !anybodys.verified() && !anybodys.changed(),
       "plain: anybody's file is no error");
    ok(is_tag(anybodys.generation()) && anybodys.report().status() == STEADFAST_UNVERIFIED, "its generation is a content tag");
    steadfast::load(path, ec, steadfast::load_options().plain().require_verified());
    ok(ec == steadfast::errc::unverified && ec.category() == steadfast::category(), "require_verified: errc::unverified");
    const auto swap = steadfast::save_options().plain().if_generation(anybodys.generation());
    steadfast::save(path, "{\"a\": 1}", ec, steadfast::save_options().plain().if_generation(anybodys.generation() ^ 1));
    ok(ec == steadfast::errc::conflict && content(path) == "anybody's", "a tag is compared, whole");
    const steadfast::context failing = steadfast::context::failing(STEADFAST_CALL_FSETXATTR, 1, EOPNOTSUPP, true, ec);
    const steadfast::report bare = steadfast::save(path, "x", ec, steadfast::save_options().plain().with(failing));
    ok(!ec && bare && bare.durable() && !bare.verified(), "no attribute can be kept: saved, durable, not verified: %s", bare.message());
    steadfast::batch_entry entry(path, "anybody's");
    const steadfast::report all = steadfast::save_batch(&entry, 1, ec, steadfast::save_options().plain().with(failing));
    ok(!ec && all.durable() && entry.durable() && !entry.verified(), "in a batch as well");
    steadfast::save(path, "never", ec, steadfast::save_options().plain().strict().with(failing));
    ok(ec == steadfast::errc::unsupported, "strict: errc::unsupported");
    const steadfast::report saved = steadfast::save(path, "{\"a\": 1}", ec, swap);
    ok(!ec && saved.durable() && content(path) == "{\"a\": 1}", "swapped by its tag, the file has these bytes and no other");
    if (!saved.verified()) {
        diag("no extended attributes here");
        return;
    }
    const steadfast::state whole = steadfast::load(path, ec, steadfast::load_options().plain().require_verified());
    ok(!ec && whole.verified() && !whole.changed() && whole.generation() == saved.generation() && !is_tag(whole.generation()),
       "verified, by its number");
    edit(path, "{\"a\": 2}");
    const steadfast::state changed = steadfast::load(path, ec, plain);
    ok(!ec && changed.changed() && !changed.verified() && changed.view() == "{\"a\": 2}" && is_tag(changed.generation()),
       "changed by an editor");
    char buffer[16];
    steadfast::loaded into = steadfast::load_into(path, buffer, sizeof buffer, ec, plain);
    ok(!ec && into.size() == 8 && into.changed() && !into.verified() && into.generation() == changed.generation(), "load_into says so too");
    steadfast::watch watch(path, ec, plain);
    const steadfast::report seen = watch.wait(0, 0ms, ec);
    ok(!ec && seen.generation() == changed.generation(), "a watch gives the tag");
    watch.wait(changed.generation(), 0ms, ec);
    ok(ec == std::errc::timed_out, "and knows it again");

    const auto more = [](const steadfast::state *old) { return std::optional(std::string(old->view()) + "\n"); };
    const steadfast::report updated = steadfast::update(path, more, ec, steadfast::save_options().plain(), plain);
    ok(!ec && updated.verified() && content(path) == "{\"a\": 2}\n", "an update takes it as it is: %s", updated.message());
    into = steadfast::load_into(path, buffer, sizeof buffer, ec, plain);
    ok(!ec && into.verified(), "and it is verified again");
    const auto never = [](const steadfast::state *) { return std::optional("never"s); };
    for (const bool saving : {false, true}) {
        const steadfast::report mixed =
            steadfast::update(path, never, ec, saving ? steadfast::save_options().plain() : steadfast::save_options(),
                              saving ? steadfast::load_options() : plain);
        ok(ec == std::errc::invalid_argument && mixed.step() == STEADFAST_STEP_ARGUMENTS && content(path) == "{\"a\": 2}\n",
           "an update with plain() in one of the options alone is refused: %s", mixed.message());
    }

    edit(path, "{\"a\": 3}");
    const std::uint64_t tag = steadfast::load(path, ec, plain).generation();
    steadfast::remove(path, ec, steadfast::save_options().plain().if_generation(1));
    ok(ec == steadfast::errc::conflict, "remove compares the tag");
    const steadfast::report removed = steadfast::remove(path, ec, steadfast::save_options().plain().if_generation(tag));
    ok(!ec && removed.durable() && !exists(path), "and removes the file that has it");
    const steadfast::state none = steadfast::load(path, ec, plain);
    ok(!none && !none.verified() && !none.changed(), "what could not be loaded is neither verified nor changed");
    steadfast::save(path, "a record", ec);
    ok(steadfast::load(path, ec).verified(), "a record is always verified");
}

void plain_streams(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "plain-streamed";
    const auto plain = steadfast::load_options().plain();
    steadfast::output_stream out(steadfast::writer(path, ec, steadfast::save_options().plain()));
    out << "by a stream";
    const steadfast::report done = out.commit(ec);
    ok(!ec && done.durable() && content(path) == "by a stream", "a stream of a plain file: these bytes and no other");
    steadfast::writer with_fd(path, ec, steadfast::save_options().plain());
    ok(!ec && write(with_fd.fd(ec), "by hand", 7) == 7 && with_fd.commit(ec).durable() && content(path) == "by hand",
       "with its descriptor");
    const steadfast::writer none(path, ec, steadfast::save_options().in_place());
    ok(ec == std::errc::invalid_argument && !none, "in place: invalid_argument");
    if (done.verified()) {
        const steadfast::reader whole(path, ec, steadfast::load_options().plain().require_verified());
        ok(!ec && whole.verified() && !whole.changed() && whole.generation() == 2, "read, and verified");
        edit(path, "changed");
        const steadfast::reader changed(path, ec, plain);
        ok(!ec && !changed.verified() && changed.changed() && is_tag(changed.generation()), "changed by an editor");
    }
    std::filesystem::remove(path);
    put(path, "anybody's");
    steadfast::input_stream in(steadfast::reader(path, ec, plain));
    std::string text;
    ok(!ec && in >> text && text == "anybody's" && !in.source().verified() && !in.source().changed(), "anybody's file is read");
    const steadfast::reader refused(path, ec, steadfast::load_options().plain().require_verified());
    ok(ec == steadfast::errc::unverified && !refused, "require_verified: errc::unverified");
}

void attributes_are_kept(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "attributes";
    steadfast::save(path, "x", ec);
    if (setxattr(path.c_str(), "user.mine", "1", 1, 0) != 0) {
        diag("no extended attributes here");
        return;
    }
    steadfast::save(path, "y", ec, steadfast::save_options().keep_attributes());
    ok(!ec && getxattr(path.c_str(), "user.mine", nullptr, 0) == 1, "keep_attributes");
    steadfast::save(path, "z", ec);
    ok(!ec && getxattr(path.c_str(), "user.mine", nullptr, 0) < 0, "without it they go");
}

void written_in_place(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "in-place";
    steadfast::save(path, "old", ec);
    struct stat before = {}, after = {};
    stat(path.c_str(), &before);
    // As over a file that is mounted.
    const auto busy = [&ec] { return steadfast::context::failing(STEADFAST_CALL_RENAMEAT, 1, EBUSY, false, ec); };
    const steadfast::context first = busy(), second = busy();
    steadfast::save(path, "new", ec, steadfast::save_options().with(first));
    ok(ec == std::errc::device_or_resource_busy && loaded(path) == "old", "a file that cannot be replaced");
    const steadfast::report saved = steadfast::save(path, "new", ec, steadfast::save_options().in_place().with(second));
    stat(path.c_str(), &after);
    ok(!ec && saved.durable() && before.st_ino == after.st_ino && loaded(path) == "new", "in_place writes it: %s", saved.message());
    ok(loaded(path + ".prev") == "old", "after a copy as PATH.prev");
}

void takes_turns(const scratch &dir)
{
    std::error_code ec;
    const std::string path = dir / "alternate", previous = path + ".prev";
    const steadfast::save_options how = steadfast::save_options().alternate();
    struct stat before[2] = {}, after[2] = {};
    steadfast::save(path, "1", ec, how);
    steadfast::save(path, "2", ec, how);
    stat(path.c_str(), &before[0]), stat(previous.c_str(), &before[1]);
    for (const char *text : {"3", "4"}) {
        const steadfast::report saved = steadfast::save(path, text, ec, how);
        stat(path.c_str(), &after[0]), stat(previous.c_str(), &after[1]);
        ok(!ec && saved.durable() && before[0].st_ino == after[0].st_ino && before[1].st_ino == after[1].st_ino,
           "alternate overwrites a file: %s", saved.message());
        const steadfast::state state = steadfast::load(path, ec);
        const steadfast::reader reader(path, ec);
        ok(state.view() == text && !state.recovered() && reader && !reader.recovered(), "which is the state then");
    }
    truncate(path.c_str(), 100);
    const steadfast::state state = steadfast::load(path, ec);
    ok(!ec && state.view() == "3" && state.recovered(), "the newest is damaged: the one before");
}

} // namespace

int main()
{
    const scratch dir;
    a_state_round_trips(dir);
    all_kinds_of_data_and_paths(dir);
    paths_that_are_none(dir);
    errors_are_error_codes(dir);
    options_reach_the_library(dir);
    others_keep_a_save_waiting(dir);
    contexts_at_a_directory(dir);
    into_the_callers_memory(dir);
    batches(dir);
    changed_by_what_it_is(dir);
    watched(dir);
    streams(dir);
    plain_files(dir);
    plain_streams(dir);
    attributes_are_kept(dir);
    written_in_place(dir);
    takes_turns(dir);
    hooks_and_faults(dir);
    return done_testing();
}
