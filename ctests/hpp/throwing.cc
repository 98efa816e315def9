// The overloads of steadfast.hpp that throw.
#include "other_unit.h"
#include "scratch.h"

#include "tap.h" // last: its ok() is a macro

using namespace std::chrono_literals;

namespace {

template <class Call> steadfast::report thrown_by(Call call)
{
    try {
        call();
    } catch (const steadfast::error &error) {
        is_int(error.code().value() == error.report().code().value(), 1, "code() and report() agree: %s", error.what());
        return error.report();
    }
    return {};
}

void states(const scratch &dir)
{
    const std::string path = dir / "state";
    ok(steadfast::save(path, "one").durable(), "save");
    ok(steadfast::load(path).generation() == 1, "load");
    const steadfast::report none = thrown_by([&] { steadfast::load(dir / "none"); });
    ok(none.code() == std::errc::no_such_file_or_directory, "load throws");
    ok(thrown_by([&] { steadfast::save(path, "x", steadfast::save_options().if_generation(9)); }).code() == steadfast::errc::conflict,
       "save throws");
    try {
        steadfast::load(dir / "none");
        ok(false, "load throws a std::system_error");
    } catch (const std::system_error &error) {
        ok(std::strstr(error.what(), "none") != nullptr, "a std::system_error that names the path: %s", error.what());
    }
    const auto leave = [](const steadfast::state *) { return static_cast<const std::string *>(nullptr); };
    ok(steadfast::update(path, leave).generation() == 1, "update, with a pointer in place of an optional");
    ok(thrown_by([&] { steadfast::update(dir / "none/none", [&](const steadfast::state *) { return &path; }); }).code() ==
           std::errc::no_such_file_or_directory,
       "update throws");
    ok(steadfast::save(dir / "gone", "x").durable() && steadfast::remove(dir / "gone").durable(), "remove");
    ok(thrown_by([&] { steadfast::remove(dir / "gone"); }).code() == std::errc::no_such_file_or_directory, "remove throws");
    char buffer[3];
    ok(steadfast::load_into(path, buffer, 3).size() == 3, "load_into");
    ok(thrown_by([&] { steadfast::load_into(path, buffer, 2); }).code() == steadfast::errc::too_large, "load_into throws");
    steadfast::batch_entry batch[] = {{path, "one"}};
    ok(steadfast::save_batch(batch, 1).durable(), "save_batch");
    ok(thrown_by([&] { steadfast::save_batch(batch, 1, steadfast::save_options().if_generation(9)); }).code() == steadfast::errc::conflict,
       "save_batch throws");
    std::error_code ec;
    const steadfast::context failing = steadfast::context::failing(STEADFAST_CALL_FSYNC, 1, EIO, true, ec);
    const steadfast::report saved = steadfast::save(path, "two", steadfast::save_options().with(failing));
    ok(saved && !saved.durable(), "a save that is not durable is done, and does not throw");
}

void streams(const scratch &dir)
{
    const std::string path = dir / "streamed";
    steadfast::writer writer(path);
    writer.write("one");
    ok(writer.fd() > 2 && writer.commit().durable(), "a writer");
    ok(thrown_by([&] { writer.write("x"); }).code() == std::errc::invalid_argument, "write throws");
    ok(thrown_by([&] { writer.fd(); }).code() == std::errc::invalid_argument, "fd throws");
    ok(thrown_by([&] { writer.commit(); }).code() == std::errc::invalid_argument, "commit throws");
    ok(thrown_by([&] { steadfast::writer none(dir / "none/none"); }).code() == std::errc::no_such_file_or_directory, "a writer throws");
    char buffer[3];
    steadfast::reader reader(path);
    ok(reader.size() == 3 && reader.read(1, buffer, 3) == 2, "a reader");
    ok(thrown_by([&] { steadfast::reader none(dir / "none"); }).code() == std::errc::no_such_file_or_directory, "throws");
    ok(thrown_by([&] { reader.read(0, nullptr, 3); }).code() == std::errc::invalid_argument, "read throws");
    try {
        steadfast::output_stream stream(steadfast::writer{path});
        stream << "half" << std::flush;
        steadfast::load(dir / "none");
        stream.commit();
    } catch (const steadfast::error &) {
    }
    const steadfast::state one = steadfast::load(path);
    ok(one.view() == "one", "an exception on its way gives the new state up");
    steadfast::output_stream stream(steadfast::writer{path});
    stream << "whole";
    ok(stream.commit().generation() == 2, "a stream");
    const steadfast::state whole = steadfast::load(path);
    ok(whole.view() == "whole", "saves at its commit");
    ok(thrown_by([&] { stream.commit(); }).code() == std::errc::invalid_argument, "commit throws");
}

void locks(const scratch &dir)
{
    const std::string path = dir / "lock";
    steadfast::lock held(path, 5s);
    ok(held && exists(path), "the constructor takes the lock");
    const steadfast::report refused = thrown_by([&] { steadfast::lock second(path, 0ms); });
    ok(refused.code() == steadfast::errc::locked && refused.pid() == getpid(), "or throws who holds it");
    ok(exists(path), "whose lock stays");
    ok(steadfast::inspect(path).verdict() == steadfast::verdict::held, "inspect");
    ok(steadfast::clean_stale(path).verdict() == steadfast::verdict::held, "clean_stale");
    held.release();
    ok(!held && !exists(path), "release");
    steadfast::lock lost(path);
    lost.check();
    ok(thrown_by([&] { lost.adopt(); }).code() == std::errc::invalid_argument, "adopt throws");
    std::filesystem::remove(path);
    ok(thrown_by([&] { lost.check(); }).code() == steadfast::errc::lock_lost, "check throws");
    ok(thrown_by([&] { lost.release(); }).code() == steadfast::errc::lock_lost, "release throws");
    ok(thrown_by([&] { steadfast::inspect(dir / "no/such/lock"); }).code() == std::errc::no_such_file_or_directory, "inspect throws");
    ok(thrown_by([&] { steadfast::clean_stale(dir / "no/such/lock"); }).code() == std::errc::no_such_file_or_directory,
       "clean_stale throws");
}

void contexts(const scratch &dir)
{
    const std::string path = dir / "no/such/directory";
    const steadfast::context here = steadfast::context::at(".", STEADFAST_CONTEXT_BENEATH);
    ok(static_cast<bool>(here), "a context at a directory");
    const steadfast::report refused = thrown_by([&] { steadfast::context::at(path); });
    ok(refused.code() == std::errc::no_such_file_or_directory && std::strstr(refused.message(), path.c_str()), "or an error: %s",
       refused.message());
    steadfast_hooks hooks = steadfast_hooks_init();
    ok(static_cast<bool>(steadfast::context(hooks)), "a context");
    hooks.absent = ~0U;
    ok(thrown_by([&] { steadfast::context none(hooks); }).code() == std::errc::invalid_argument, "or an error");
}

// An exception on its way through a scope gives the lock back.
void unwinding(const scratch &dir)
{
    const std::string path = dir / "unwound";
    try {
        const steadfast::lock held(path, 0ms);
        steadfast::load(dir / "none");
    } catch (const steadfast::error &) {
    }
    ok(!exists(path), "unwinding releases");
}

} // namespace

int main()
{
    const scratch dir;
    states(dir);
    streams(dir);
    locks(dir);
    contexts(dir);
    unwinding(dir);
    return done_testing();
}
