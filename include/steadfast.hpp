// SPDX-License-Identifier: MIT OR Apache-2.0
//
// steadfast for C++17 and later: header only, over steadfast.h; link with -lsteadfast.
//
//     steadfast::lock guard("app.lock", 5s);                        // throws steadfast::error
//     steadfast::save("app.state", "{\"jobs\": 3}");
//     steadfast::state state = steadfast::load("app.state");
//     use(state.view());
//
// As in std::filesystem each call comes twice: one that throws steadfast::error, and one with a std::error_code&
// that is noexcept. Under -fno-exceptions only the second kind is there. -fno-rtti is fine.
//
// An error_code is set when the call was not done (a status < 0): negated errnos in std::generic_category(), codes of
// the library in steadfast::category() (enum steadfast::errc). What was done with a reservation (a save that is not
// durable, a load from the previous generation, a plain file that nothing verifies) is no error: ask report::durable(),
// state::recovered() and state::verified(), or ask for save_options().strict() and load_options().require_verified().
//
// Nothing here allocates but what the C library does, steadfast::mutex for its path, and a thrown error.
#ifndef STEADFAST_HPP
#define STEADFAST_HPP

#include "steadfast.h"

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <istream>
#include <iterator>
#include <mutex>
#include <ostream>
#include <pthread.h>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <unistd.h>
#include <utility>

#if defined(__cpp_exceptions) && !defined(STEADFAST_NO_EXCEPTIONS)
#define STEADFAST_EXCEPTIONS 1
#else
#define STEADFAST_EXCEPTIONS 0
#endif

namespace steadfast {

/// The codes of the library, for comparing with an error_code: `if (ec == steadfast::errc::digest)`.
enum class errc : int {
    empty = STEADFAST_E_EMPTY,                                ///< the state file is empty
    truncated = STEADFAST_E_TRUNCATED,                        ///< shorter than it says it is
    trailing = STEADFAST_E_TRAILING,                          ///< longer than it says it is
    digest = STEADFAST_E_DIGEST,                              ///< the SHA-256 does not match
    format = STEADFAST_E_FORMAT,                              ///< not a state file
    newer = STEADFAST_E_NEWER,                                ///< intact, but of a later format
    schema = STEADFAST_E_SCHEMA,                              ///< intact, but of another schema
    lost = STEADFAST_E_LOST,                                  ///< no current state, but a previous one
    too_large = STEADFAST_E_TOO_LARGE,                        ///< larger than the caller allows
    conflict = STEADFAST_E_CONFLICT,                          ///< the state there has another generation
    symlink = STEADFAST_E_SYMLINK,                            ///< the path is a symbolic link
    not_regular = STEADFAST_E_NOT_REGULAR,                    ///< a directory, a device, a FIFO or a socket
    not_saved_durably = STEADFAST_E_NOT_SAVED_DURABLY,        ///< strict: nothing was replaced
    saved_not_durable = STEADFAST_E_SAVED_NOT_DURABLE,        ///< strict: replaced, but the directory is not synced
    indeterminate = STEADFAST_E_INDETERMINATE,                ///< whether it was done cannot be found out
    locked = STEADFAST_E_LOCKED,                              ///< the lock is held
    lock_lost = STEADFAST_E_LOCK_LOST,                        ///< the lock file was no longer ours at release
    wrong_process = STEADFAST_E_WRONG_PROCESS,                ///< a forked child released its parent's lock
    hook = STEADFAST_E_HOOK,                                  ///< a hook returned an invalid value
    unsupported = STEADFAST_E_UNSUPPORTED,                    ///< the platform or the file system lacks it
    unverified = STEADFAST_E_UNVERIFIED,                      ///< require_verified: nothing verifies the plain file
    busy = STEADFAST_E_BUSY,                                  ///< others kept the call waiting for longer than its timeout
    internal = STEADFAST_E_INTERNAL,                          ///< a defect of the library; nothing was done
};

namespace detail {

struct category final : std::error_category {
    const char *name() const noexcept override { return "steadfast"; }

    std::string message(int code) const override { return steadfast_status_message(code); }

    // So that portable code can ask `ec == std::errc::timed_out` without knowing this library.
    std::error_condition default_error_condition(int code) const noexcept override
    {
        switch (code) {
        case STEADFAST_E_LOCKED:
        case STEADFAST_E_BUSY: return std::errc::timed_out;
        case STEADFAST_E_SYMLINK: return std::errc::too_many_symbolic_link_levels;
        case STEADFAST_E_TOO_LARGE: return std::errc::file_too_large;
        case STEADFAST_E_UNSUPPORTED: return std::errc::not_supported;
        default: return std::error_condition(code, *this);
        }
    }
};

} // namespace detail

/// The category of enum errc.
inline const std::error_category &category() noexcept
{
    static const detail::category the_one;
    return the_one;
}

inline std::error_code make_error_code(errc code) noexcept
{
    return {static_cast<int>(code), category()};
}

} // namespace steadfast

template <> struct std::is_error_code_enum<steadfast::errc> : std::true_type {};

namespace steadfast {

/// What a call came to: a steadfast_report with names. By value, without memory of its own.
class report {
public:
    report() noexcept : c_() { c_.size = sizeof c_; }

    /// The value that the C function returned.
    std::int32_t status() const noexcept { return c_.status; }
    /// Was it done?
    explicit operator bool() const noexcept { return c_.status >= 0; }
    /// Of a save: done, and no power cut can take it back.
    bool durable() const noexcept { return c_.status == STEADFAST_OK || c_.status == STEADFAST_UNVERIFIED; }
    /// Of a load: what was saved, to the bit. Of a plain save: false if it is durable, but without its attribute, so that no
    /// load can verify it. (A save that is not durable says so in its message alone.)
    bool verified() const noexcept { return c_.status >= 0 && c_.status != STEADFAST_UNVERIFIED && !changed(); }
    /// Of a load of a plain file: somebody has changed it since it was saved.
    bool changed() const noexcept { return c_.status == STEADFAST_CHANGED; }
    /// Set if it was not done.
    std::error_code code() const noexcept
    {
        if (c_.status >= 0)
            return {};
        if (c_.status >= -4095)
            return {-c_.status, std::generic_category()};
        return {c_.status, category()};
    }
    /// One English sentence that names the path. Valid as long as this report.
    const char *message() const noexcept { return c_.message; }
    /// "STEADFAST_E_DIGEST", "ENOSPC", "STEADFAST_OK". Static.
    const char *name() const noexcept { return steadfast_status_name(c_.status); }
    /// errno of the call that failed, 0 when none did.
    int os_error() const noexcept { return c_.os_error; }
    /// STEADFAST_STEP_*: the call that failed.
    int step() const noexcept { return c_.step; }
    /// STEADFAST_ON_DISK_*: what a power cut now would leave.
    int on_disk() const noexcept { return c_.on_disk; }
    /// Of the state written or read; after errc::conflict of the state that is there.
    std::uint64_t generation() const noexcept { return c_.generation; }
    /// Lock calls: the process named in the lock.
    std::int64_t pid() const noexcept { return c_.pid; }
    const steadfast_report &c() const noexcept { return c_; }
    /// For handing it to the C functions.
    steadfast_report *c_ptr() noexcept { return &c_; }

private:
    steadfast_report c_;
};

namespace detail {
/// The report of a call that was not made, because of its arguments.
inline report refused(int error, const char *why) noexcept
{
    report out;
    out.c_ptr()->status = -error;
    out.c_ptr()->step = STEADFAST_STEP_ARGUMENTS;
    std::snprintf(out.c_ptr()->message, sizeof out.c_ptr()->message, "%s", why);
    return out;
}
} // namespace detail

/// A path argument: const char*, std::string, std::string_view or std::filesystem::path; not to be kept. One with a NUL
/// in it is refused (invalid_argument), not cut. Only a string_view is copied, into this object.
class path_arg {
public:
    path_arg(const char *path) noexcept : path_(path), error_(path == nullptr ? EINVAL : 0) {}
    path_arg(const std::string &path) noexcept : path_(path.c_str()) { refuse_nul(path); }
    path_arg(const std::filesystem::path &path) noexcept : path_(path.c_str()) { refuse_nul(path.native()); }
    path_arg(std::string_view path) noexcept : path_(copy_)
    {
        refuse_nul(path);
        if (path.size() >= sizeof copy_) {
            error_ = ENAMETOOLONG;
            path = {};
        }
        if (!path.empty())
            std::memcpy(copy_, path.data(), path.size());
        copy_[path.size()] = '\0';
    }
    path_arg(const path_arg &) = delete;
    path_arg &operator=(const path_arg &) = delete;

    const char *c_str() const noexcept { return path_; }

    /// False, with the report filled, when it is no path at all.
    bool valid(report &out) const noexcept
    {
        if (error_ == 0)
            return true;
        out = detail::refused(error_, path_ == nullptr   ? "the path is a null pointer"
                                      : error_ == EINVAL ? "the path has a NUL byte in it"
                                                         : "the path is too long");
        return false;
    }

private:
    void refuse_nul(std::string_view path) noexcept
    {
        if (path.find('\0') != path.npos)
            error_ = EINVAL;
    }

    const char *path_;
    int error_ = 0;
    char copy_[4096]; // PATH_MAX, the library's limit; left alone unless it is needed
};

/// Bytes to save: text, (pointer, length), or any contiguous container of bytes (vector<std::byte>, span<const char>,
/// array<unsigned char, N>). An array of char that ends in NUL is text, up to its first NUL; another one is bytes. Not to
/// be kept.
class data_arg {
    template <class T>
    static constexpr bool is_byte =
        std::is_same_v<T, char> || std::is_same_v<T, unsigned char> || std::is_same_v<T, signed char> || std::is_same_v<T, std::byte>;
    /// Only what is a pointer already: an array has a constructor of its own.
    template <class P> static constexpr bool is_text = std::is_convertible_v<const P &, const char *> && !std::is_array_v<P>;
    template <class C>
    using element = std::remove_cv_t<std::remove_pointer_t<decltype(std::data(std::declval<const C &>()))>>;

public:
    data_arg(const void *data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <class P, std::enable_if_t<is_text<P>, int> = 0>
    data_arg(const P &pointer) noexcept : data_(static_cast<const char *>(pointer)), size_(length(pointer))
    {
    }
    template <std::size_t N>
    data_arg(const char (&array)[N]) noexcept : data_(array), size_(array[N - 1] == '\0' ? std::strlen(array) : N)
    {
    }
    template <class C, class = std::enable_if_t<is_byte<element<C>> && !(std::is_array_v<C> && std::is_same_v<element<C>, char>)>>
    data_arg(const C &bytes) noexcept : data_(std::data(bytes)), size_(std::size(bytes))
    {
    }

    const void *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }

private:
    static std::size_t length(const char *text) noexcept { return text == nullptr ? 0 : std::strlen(text); }

    const void *data_;
    std::size_t size_;
};

#if STEADFAST_EXCEPTIONS
/// What the throwing calls throw. what() is the library's sentence; code() and report() say the rest.
class error : public std::system_error {
public:
    explicit error(const steadfast::report &report) : std::system_error(report.code(), report.message()), report_(report) {}
    const steadfast::report &report() const noexcept { return report_; }

private:
    steadfast::report report_;
};
#endif

#if STEADFAST_EXCEPTIONS
namespace detail {
inline void throw_unless_done(const report &report)
{
    if (!report)
        throw error(report);
}
} // namespace detail
#endif

/// Where relative paths begin, and hooks in place of system calls, for tests (see steadfast_hooks). Share it between
/// threads; it must outlive the calls made with it, but not the locks taken with it.
class context {
public:
    context() noexcept = default;
    /// Copies the table; an invalid one (invalid_argument) or no memory leave an empty context.
    context(const steadfast_hooks &hooks, std::error_code &ec) noexcept { adopt(steadfast_context_new(&hooks, &c_), ec); }
    /// Call number `nth` of `call` (STEADFAST_CALL_*) fails with `error`, and with for_ever every later one too.
    static context failing(std::uint32_t call, std::uint64_t nth, int error, bool for_ever, std::error_code &ec) noexcept
    {
        context made;
        made.adopt(steadfast_context_new_failing(nullptr, call, nth, error, for_ever ? 1U : 0U, &made.c_), ec);
        return made;
    }
    /// Relative paths begin at this directory; with STEADFAST_CONTEXT_BENEATH among the flags no path leaves it
    /// (std::errc::cross_device_link). The context keeps a descriptor of its own.
    static context at(const path_arg &directory, std::error_code &ec, std::uint32_t flags = 0) noexcept
    {
        report out;
        context made;
        if (!directory.valid(out)) {
            ec = out.code();
            return made;
        }
        const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            ec = {errno, std::generic_category()};
            return made;
        }
        made = at(fd, ec, flags);
        ::close(fd);
        return made;
    }
    /// The same for a directory that is open. It may be closed afterwards.
    static context at(int directory, std::error_code &ec, std::uint32_t flags = 0) noexcept
    {
        const steadfast_context_options options = {sizeof options, STEADFAST_CONTEXT_AT | flags, directory, nullptr};
        context made;
        made.adopt(steadfast_context_new_with(&options, &made.c_), ec);
        return made;
    }
    /// The same, throwing. (Not defined under -fno-exceptions.)
    static context at(const path_arg &directory, std::uint32_t flags = 0);
    /// Copies the table, or throws steadfast::error. (Not defined under -fno-exceptions.)
    explicit context(const steadfast_hooks &hooks);
    context(context &&other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
    context &operator=(context &&other) noexcept
    {
        context(std::move(other)).swap(*this);
        return *this;
    }
    ~context() { steadfast_context_free(c_); }

    void swap(context &other) noexcept { std::swap(c_, other.c_); }
    explicit operator bool() const noexcept { return c_ != nullptr; }
    const steadfast_context *c() const noexcept { return c_; }

private:
    void adopt(std::int32_t status, std::error_code &ec) noexcept
    {
        report made;
        made.c_ptr()->status = status;
        ec = made.code();
    }

    steadfast_context *c_ = nullptr;
};

/// How long to wait for others: a std::chrono duration of any kind, or timeout::forever(). Zero and less: not at all.
class timeout {
public:
    template <class Rep, class Period> constexpr timeout(std::chrono::duration<Rep, Period> time) noexcept
    {
        // In floating point, which no duration overflows; beyond 285,000 years it is for ever.
        const double ms = std::chrono::duration<double, std::milli>(time).count();
        if (ms > 0) {
            ms_ = ms < 9e15 ? static_cast<std::int64_t>(ms) : -1;
            if (ms_ >= 0 && static_cast<double>(ms_) < ms)
                ++ms_; // never shorter than asked for
        }
    }
    static constexpr timeout forever() noexcept
    {
        timeout t{std::chrono::milliseconds(0)};
        t.ms_ = -1;
        return t;
    }
    constexpr std::int64_t ms() const noexcept { return ms_; }

private:
    std::int64_t ms_ = 0;
};

/// How to save: `save_options().strict().keep_previous().schema(2)`. The default is a plain, durable save.
class save_options {
public:
    constexpr save_options() noexcept = default;
    /// What cannot be made durable is an error, not a reservation.
    constexpr save_options &strict() noexcept { return flag(STEADFAST_SAVE_STRICT); }
    /// The verified previous generation stays as PATH.prev.
    constexpr save_options &keep_previous() noexcept { return flag(STEADFAST_SAVE_KEEP_PREVIOUS); }
    /// One flush of the device instead of two to four, for a state that is saved often: PATH and PATH.prev take turns, and the
    /// newer one is the state. Hand on what load gives, not the file at PATH. A writer saves the ordinary way.
    constexpr save_options &alternate() noexcept { return flag(STEADFAST_SAVE_ALTERNATE); }
    /// Compare and swap: errc::conflict unless the state there has this generation; 0: unless there is none, and no
    /// previous one.
    constexpr save_options &if_generation(std::uint64_t expected) noexcept
    {
        c_.expected_generation = expected;
        return flag(STEADFAST_SAVE_IF_GENERATION);
    }
    /// Save to what a link at PATH points to; otherwise a link is refused.
    constexpr save_options &follow_symlink() noexcept { return flag(STEADFAST_SAVE_FOLLOW_SYMLINK); }
    /// Make missing parent directories, durably.
    constexpr save_options &create_parents() noexcept { return flag(STEADFAST_SAVE_CREATE_PARENTS); }
    /// Atomic and verified, but never durable. With keep_previous the last durable generation stays as PATH.prev.
    constexpr save_options &no_sync() noexcept { return flag(STEADFAST_SAVE_NO_SYNC); }
    /// save_batch: one syncfs for each file system instead of one fsync for each file.
    constexpr save_options &sync_file_system() noexcept { return flag(STEADFAST_SAVE_SYNCFS); }
    /// The file holds the caller's bytes and nothing else; an extended attribute verifies them. Load it with
    /// load_options().plain().
    constexpr save_options &plain() noexcept { return flag(STEADFAST_SAVE_PLAIN); }
    /// The file that is replaced hands on its attributes user.* and its security labels.
    constexpr save_options &keep_attributes() noexcept { return flag(STEADFAST_SAVE_KEEP_ATTRIBUTES); }
    /// A file that cannot be replaced is written in place, after a durable copy of it as PATH.prev. Not for save_batch or a
    /// writer.
    constexpr save_options &in_place() noexcept { return flag(STEADFAST_SAVE_IN_PLACE); }
    /// How long to wait for other savers of the same state, and for whoever locks its file; the default is 10 seconds. Then
    /// errc::busy, and the old state stands.
    constexpr save_options &timeout(steadfast::timeout wait) noexcept
    {
        c_.timeout_ms = wait.ms() == 0 ? 1 : wait.ms(); // 0 would be the default
        return *this;
    }
    /// Permission bits of a new file; the default is 0600.
    constexpr save_options &mode(std::uint32_t bits) noexcept
    {
        c_.mode = bits;
        return *this;
    }
    /// The same for a file that is there already as well; it may open it to more.
    constexpr save_options &set_mode(std::uint32_t bits) noexcept { return mode(bits).flag(STEADFAST_SAVE_SET_MODE); }
    /// The caller's own format number, handed back by load.
    constexpr save_options &schema(std::uint32_t number) noexcept
    {
        c_.schema = number;
        return *this;
    }
    /// Any STEADFAST_SAVE_* of a later version.
    constexpr save_options &flag(std::uint32_t bits) noexcept
    {
        c_.flags |= bits;
        return *this;
    }
    /// Use this directory, or these hooks.
    save_options &with(const context &hooks) noexcept
    {
        context_ = hooks.c();
        return *this;
    }
    const steadfast_save_options *c() const noexcept { return &c_; }
    const steadfast_context *hooks() const noexcept { return context_; }

private:
    steadfast_save_options c_ = {sizeof(steadfast_save_options), 0, 0, 0, 0, 0, 0};
    const steadfast_context *context_ = nullptr;
};

/// How to load: `load_options().recover().max_size(1 << 20)`.
class load_options {
public:
    constexpr load_options() noexcept = default;
    /// Fall back to PATH.prev; state::recovered() then says so.
    constexpr load_options &recover() noexcept { return flag(STEADFAST_LOAD_RECOVER); }
    /// A file as save_options().plain() makes it, or anybody's: the data is its whole content. state::verified() and
    /// state::changed() say what is known of it.
    constexpr load_options &plain() noexcept { return flag(STEADFAST_LOAD_PLAIN); }
    /// With plain(): what nothing verifies is errc::unverified.
    constexpr load_options &require_verified() noexcept { return flag(STEADFAST_LOAD_REQUIRE_VERIFIED); }
    /// Anything but this schema is errc::schema.
    constexpr load_options &require_schema(std::uint32_t number) noexcept
    {
        c_.schema = number;
        return flag(STEADFAST_LOAD_REQUIRE_SCHEMA);
    }
    /// The longest payload accepted; the default is 1 GiB for load, and for load_into the capacity.
    constexpr load_options &max_size(std::uint64_t bytes) noexcept
    {
        c_.max_len = bytes;
        return *this;
    }
    constexpr load_options &flag(std::uint32_t bits) noexcept
    {
        c_.flags |= bits;
        return *this;
    }
    load_options &with(const context &hooks) noexcept
    {
        context_ = hooks.c();
        return *this;
    }
    const steadfast_load_options *c() const noexcept { return &c_; }
    const steadfast_context *hooks() const noexcept { return context_; }

private:
    steadfast_load_options c_ = {sizeof(steadfast_load_options), 0, 0, 0};
    const steadfast_context *context_ = nullptr;
};

/// A loaded state: owns its bytes, moves, does not copy.
class state {
public:
    state() noexcept : c_() { c_.size = sizeof c_; }
    state(state &&other) noexcept : c_(other.c_), report_(other.report_) { other.forget(); }
    state &operator=(state &&other) noexcept
    {
        if (this != &other) {
            steadfast_state_free(&c_);
            c_ = other.c_;
            report_ = other.report_;
            other.forget();
        }
        return *this;
    }
    ~state() { steadfast_state_free(&c_); }

    /// Is there one? False for a failed load, whose report() says why.
    explicit operator bool() const noexcept { return c_.data != nullptr; }
    /// size() bytes, aligned to 16, with a NUL after them; null only when there is no state.
    const char *data() const noexcept { return static_cast<const char *>(c_.data); }
    std::size_t size() const noexcept { return c_.len; }
    std::string_view view() const & noexcept { return {data(), size()}; }
    std::string_view view() const && = delete; // it would outlive the bytes
    /// Of a plain file that is not verified: a tag of its content, 2^63 or more.
    std::uint64_t generation() const noexcept { return c_.generation; }
    std::uint32_t schema() const noexcept { return c_.schema; }
    /// Is the newest one damaged or missing, and this the one before it?
    bool recovered() const noexcept { return report_.status() == STEADFAST_RECOVERED; }
    /// Is it what was saved, to the bit? False only for a plain file that nothing verifies, and for no state.
    bool verified() const noexcept { return report_.verified() && c_.data != nullptr; }
    /// Was a plain file changed by somebody since it was saved?
    bool changed() const noexcept { return report_.changed() && c_.data != nullptr; }
    /// By the clock of the machine that saved it.
    std::chrono::system_clock::time_point saved_at() const noexcept
    {
        const std::chrono::nanoseconds since_epoch(c_.saved_at_ns);
        return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(since_epoch));
    }
    const std::uint8_t (&sha256() const noexcept)[32] { return c_.sha256; }
    const steadfast::report &report() const noexcept { return report_; }

private:
    friend state load(const path_arg &, std::error_code &, const load_options &) noexcept;

    void forget() noexcept
    {
        c_ = steadfast_state();
        c_.size = sizeof c_;
    }

    steadfast_state c_;
    steadfast::report report_;
};

/// Saves: after a crash at any moment a reader finds the old state or the new one, whole. See steadfast_state_save.
inline report save(const path_arg &path, const data_arg &data, std::error_code &ec, const save_options &options = {}) noexcept
{
    report out;
    if (path.valid(out))
        steadfast_state_save(options.hooks(), path.c_str(), data.data(), data.size(), options.c(), out.c_ptr());
    ec = out.code();
    return out;
}

/// Loads and verifies: what was saved, to the bit, or an empty state. See steadfast_state_load.
inline state load(const path_arg &path, std::error_code &ec, const load_options &options = {}) noexcept
{
    state out;
    if (path.valid(out.report_))
        steadfast_state_load(options.hooks(), path.c_str(), options.c(), &out.c_, out.report_.c_ptr());
    ec = out.report_.code();
    return out;
}

/// Removes the state and PATH.prev: no older one comes back. See steadfast_state_remove.
inline report remove(const path_arg &path, std::error_code &ec, const save_options &options = {}) noexcept
{
    report out;
    if (path.valid(out))
        steadfast_state_remove(options.hooks(), path.c_str(), options.c(), out.c_ptr());
    ec = out.code();
    return out;
}

/// Loads, calls `change` with the state (null: there is none), and saves what that returns, an optional or a pointer of
/// bytes; an empty one leaves the state as it is. If somebody else saved meanwhile, it is done again with what is there by
/// then, for as long as the timeout says: no change is lost. What `change` throws ends it. plain() stands in both options
/// or in neither: invalid_argument.
template <class Change>
report update(const path_arg &path, Change &&change, std::error_code &ec, const save_options &saving = {}, const load_options &loading = {})
{
    if (((saving.c()->flags & STEADFAST_SAVE_PLAIN) != 0) != ((loading.c()->flags & STEADFAST_LOAD_PLAIN) != 0)) {
        const report out = detail::refused(EINVAL, "plain() is in one of the two options alone");
        ec = out.code();
        return out;
    }
    const std::int64_t wait = saving.c()->timeout_ms == 0 ? 10000 : saving.c()->timeout_ms;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait);
    for (;;) {
        const state old = load(path, ec, loading);
        if (ec && old.report().status() != -ENOENT)
            return old.report();
        const auto next = change(old ? &old : nullptr);
        if (!next) {
            ec.clear();
            return old ? old.report() : report();
        }
        save_options swapping = saving;
        const report out = save(path, *next, ec, swapping.if_generation(old.generation()));
        if (out.status() != STEADFAST_E_CONFLICT || (wait > 0 && std::chrono::steady_clock::now() >= until))
            return out;
    }
}

/// Waits for another generation of a state. See steadfast_watch_open.
class watch {
public:
    /// A context among the options has to live as long.
    watch(const path_arg &path, std::error_code &ec, const load_options &options = {}) noexcept
    {
        report out;
        if (path.valid(out))
            steadfast_watch_open(options.hooks(), path.c_str(), options.c(), &c_, out.c_ptr());
        ec = out.code();
    }
    watch(watch &&other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
    watch &operator=(watch &&other) noexcept
    {
        std::swap(c_, other.c_);
        return *this;
    }
    ~watch() { steadfast_watch_close(c_); }

    /// Another generation than `known` (0: no state) is in the report when the error code is clear. std::errc::timed_out when
    /// the time is over; damage once for each change.
    report wait(std::uint64_t known, timeout wait, std::error_code &ec) noexcept
    {
        report out;
        steadfast_watch_wait(c_, known, wait.ms(), out.c_ptr());
        ec = out.code();
        return out;
    }
    /// For poll and epoll: when it is readable, wait with timeout 0. -1: do so once a second.
    int fd() const noexcept { return steadfast_watch_fd(c_); }

private:
    steadfast_watch *c_ = nullptr;
};

/// Saves a state of any length piece by piece: nothing is seen of it before commit(). Without one it is given up, also when an
/// exception passes. See steadfast_writer_open.
class writer {
public:
    /// A context among the options has to live as long.
    writer(const path_arg &path, std::error_code &ec, const save_options &options = {}) noexcept
    {
        report out;
        if (path.valid(out))
            steadfast_writer_open(options.hooks(), path.c_str(), options.c(), &c_, out.c_ptr());
        ec = out.code();
    }
    /// The same, throwing. (Not defined under -fno-exceptions.)
    explicit writer(const path_arg &path, const save_options &options = {});
    writer(writer &&other) noexcept : c_(std::exchange(other.c_, nullptr)) {}
    writer &operator=(writer &&other) noexcept
    {
        std::swap(c_, other.c_);
        return *this;
    }
    ~writer() { steadfast_writer_abort(c_); }

    explicit operator bool() const noexcept { return c_ != nullptr; }
    /// Appends. An error stays: the commit has it as well.
    report write(const data_arg &data, std::error_code &ec) noexcept
    {
        report out;
        steadfast_writer_write(c_, data.data(), data.size(), out.c_ptr());
        ec = out.code();
        return out;
    }
    /// To write to it with other means; -1 after an error. It belongs to the writer. See steadfast_writer_fd.
    int fd(std::error_code &ec) noexcept
    {
        report out;
        std::int32_t fd = -1;
        steadfast_writer_fd(c_, &fd, out.c_ptr());
        ec = out.code();
        return fd;
    }
    /// Saves what was written. The writer is empty then.
    report commit(std::error_code &ec) noexcept
    {
        report out;
        steadfast_writer_commit(std::exchange(c_, nullptr), out.c_ptr());
        ec = out.code();
        return out;
    }
    /// The same three, throwing. (Not defined under -fno-exceptions.)
    void write(const data_arg &data);
    int fd();
    report commit();
    /// Gives it up: the state is as it was.
    void abort() noexcept { steadfast_writer_abort(std::exchange(c_, nullptr)); }

private:
    steadfast_writer *c_ = nullptr;
};

/// Reads parts of a state, which is verified as a whole when it is opened, and in each part again. See steadfast_reader_open.
class reader {
public:
    /// A context among the options has to live as long. max_size has no default here.
    reader(const path_arg &path, std::error_code &ec, const load_options &options = {}) noexcept : about_()
    {
        about_.size = sizeof about_;
        if (path.valid(report_))
            steadfast_reader_open(options.hooks(), path.c_str(), options.c(), &c_, &about_, report_.c_ptr());
        ec = report_.code();
    }
    /// The same, throwing. (Not defined under -fno-exceptions.)
    explicit reader(const path_arg &path, const load_options &options = {});
    reader(reader &&other) noexcept : c_(std::exchange(other.c_, nullptr)), about_(other.about_), report_(other.report_) {}
    reader &operator=(reader &&other) noexcept
    {
        std::swap(c_, other.c_);
        std::swap(about_, other.about_);
        std::swap(report_, other.report_);
        return *this;
    }
    ~reader() { steadfast_reader_close(c_); }

    explicit operator bool() const noexcept { return c_ != nullptr; }
    /// Of the payload, in bytes.
    std::size_t size() const noexcept { return about_.len; }
    std::uint64_t generation() const noexcept { return about_.generation; }
    std::uint32_t schema() const noexcept { return about_.schema; }
    /// As of a state.
    bool recovered() const noexcept { return report_.status() == STEADFAST_RECOVERED; }
    bool verified() const noexcept { return report_.verified(); }
    bool changed() const noexcept { return report_.changed(); }
    const std::uint8_t (&sha256() const noexcept)[32] { return about_.sha256; }
    /// Of the constructor.
    const steadfast::report &report() const noexcept { return report_; }
    /// How many bytes were read: less than `capacity` at the end only. errc::digest: the file was changed in place.
    std::size_t read(std::uint64_t offset, void *buffer, std::size_t capacity, std::error_code &ec) noexcept
    {
        steadfast::report out;
        std::size_t len = 0;
        steadfast_reader_read(c_, offset, buffer, capacity, &len, out.c_ptr());
        ec = out.code();
        return len;
    }
    /// The same, throwing. (Not defined under -fno-exceptions.)
    std::size_t read(std::uint64_t offset, void *buffer, std::size_t capacity);

private:
    steadfast_reader *c_ = nullptr;
    steadfast_state about_;
    steadfast::report report_;
};

namespace detail {

/// What an output_stream has not yet given to its writer.
class writer_buffer : public std::streambuf {
public:
    explicit writer_buffer(steadfast::writer &&to) noexcept : to_(std::move(to)) { setp(bytes_, bytes_ + sizeof bytes_); }

    report commit(std::error_code &ec) noexcept
    {
        hand_over();
        return to_.commit(ec);
    }
    void abort() noexcept { to_.abort(); }

protected:
    int_type overflow(int_type next) override
    {
        if (!hand_over())
            return traits_type::eof();
        if (traits_type::eq_int_type(next, traits_type::eof()))
            return traits_type::not_eof(next);
        return sputc(traits_type::to_char_type(next));
    }
    int sync() override { return hand_over() ? 0 : -1; }

private:
    bool hand_over() noexcept
    {
        std::error_code ec;
        to_.write({pbase(), static_cast<std::size_t>(pptr() - pbase())}, ec);
        setp(bytes_, bytes_ + sizeof bytes_);
        return !ec;
    }

    steadfast::writer to_;
    char bytes_[8192];
};

/// What an input_stream has read ahead. An error makes the stream bad.
class reader_buffer : public std::streambuf {
public:
    reader_buffer(steadfast::reader &&from, std::ios &stream) noexcept : from_(std::move(from)), stream_(stream) {}

    const steadfast::reader &from() const noexcept { return from_; }
    std::error_code error() const noexcept { return error_; }

protected:
    int_type underflow() override
    {
        const std::uint64_t at = position();
        const std::size_t len = from_.read(at, bytes_, sizeof bytes_, error_);
        start_ = at;
        setg(bytes_, bytes_, bytes_ + len);
        if (error_)
            stream_.setstate(std::ios_base::badbit);
        return len > 0 ? traits_type::to_int_type(bytes_[0]) : traits_type::eof();
    }
    pos_type seekoff(off_type offset, std::ios_base::seekdir way, std::ios_base::openmode which) override
    {
        const std::uint64_t base = way == std::ios_base::beg ? 0 : way == std::ios_base::cur ? position() : from_.size();
        return seekpos(pos_type(static_cast<off_type>(base) + offset), which);
    }
    pos_type seekpos(pos_type to, std::ios_base::openmode which) override
    {
        const off_type at = to;
        if ((which & std::ios_base::in) == 0 || at < 0 || static_cast<std::uint64_t>(at) > from_.size())
            return pos_type(off_type(-1));
        start_ = static_cast<std::uint64_t>(at);
        setg(bytes_, bytes_, bytes_);
        return to;
    }

private:
    std::uint64_t position() const noexcept { return start_ + static_cast<std::uint64_t>(gptr() - eback()); }

    steadfast::reader from_;
    std::ios &stream_;
    std::error_code error_;
    std::uint64_t start_ = 0;
    char bytes_[8192];
};

} // namespace detail

/// A writer as a std::ostream. What it has in its buffer is saved by commit() as well; without one everything is given up.
class output_stream : public std::ostream {
public:
    explicit output_stream(writer &&to) : std::ostream(nullptr), buffer_(std::move(to)) { rdbuf(&buffer_); }

    report commit(std::error_code &ec) noexcept { return buffer_.commit(ec); }
    /// The same, throwing. (Not defined under -fno-exceptions.)
    report commit();
    void abort() noexcept { buffer_.abort(); }

private:
    detail::writer_buffer buffer_;
};

/// A reader as a std::istream, which can seek. bad() after an error: error() says which.
class input_stream : public std::istream {
public:
    explicit input_stream(reader &&from) : std::istream(nullptr), buffer_(std::move(from), *this) { rdbuf(&buffer_); }

    const reader &source() const noexcept { return buffer_.from(); }
    std::error_code error() const noexcept { return buffer_.error(); }

private:
    detail::reader_buffer buffer_;
};

/// What load_into put into the caller's memory.
class loaded {
public:
    /// The length of the payload; after errc::too_large the length that is needed.
    std::size_t size() const noexcept { return size_; }
    std::uint64_t generation() const noexcept { return report_.generation(); }
    bool recovered() const noexcept { return report_.status() == STEADFAST_RECOVERED; }
    /// As of a state.
    bool verified() const noexcept { return report_.verified(); }
    bool changed() const noexcept { return report_.changed(); }
    const steadfast::report &report() const noexcept { return report_; }

private:
    friend loaded load_into(const path_arg &, void *, std::size_t, std::error_code &, const load_options &) noexcept;
    std::size_t size_ = 0;
    steadfast::report report_;
};

/// Loads into memory of the caller's, without allocating. After an error no byte of an unverified payload is in it.
inline loaded load_into(const path_arg &path, void *buffer, std::size_t capacity, std::error_code &ec,
                        const load_options &options = {}) noexcept
{
    loaded out;
    if (path.valid(out.report_))
        steadfast_state_load_into(options.hooks(), path.c_str(), options.c(), buffer, capacity, &out.size_, out.report_.c_ptr());
    ec = out.report_.code();
    return out;
}

/// One state of save_batch. Path and data are not copied: they must live until then.
class batch_entry {
public:
    batch_entry(const char *path, const data_arg &data) noexcept : c_() { set(path, data); }
    /// One with a NUL in it is std::errc::invalid_argument, for this entry.
    batch_entry(const std::string &path, const data_arg &data) noexcept : c_()
    {
        set(path.find('\0') == path.npos ? path.c_str() : nullptr, data);
    }
    batch_entry(std::string &&, const data_arg &) = delete;
    /// A temporary string would be gone before save_batch.
    template <class P, class S, class = std::enable_if_t<std::is_same_v<S, std::string>>> batch_entry(const P &, S &&) = delete;

    /// After the call: as a save of this state alone would have answered.
    std::int32_t status() const noexcept { return c_.status; }
    bool durable() const noexcept { return c_.status == STEADFAST_OK || c_.status == STEADFAST_UNVERIFIED; }
    bool verified() const noexcept { return c_.status >= 0 && c_.status != STEADFAST_UNVERIFIED; }
    std::error_code code() const noexcept
    {
        report out;
        out.c_ptr()->status = c_.status;
        return out.code();
    }
    int os_error() const noexcept { return c_.os_error; }
    /// STEADFAST_STEP_*: the call that failed.
    int step() const noexcept { return c_.step; }
    /// STEADFAST_ON_DISK_*: what a power cut now would leave.
    int on_disk() const noexcept { return c_.on_disk; }
    std::uint64_t generation() const noexcept { return c_.generation; }
    const char *path() const noexcept { return c_.path; }

private:
    void set(const char *path, const data_arg &data) noexcept
    {
        c_.size = sizeof c_;
        c_.path = path;
        c_.data = data.data();
        c_.len = data.size();
    }

    steadfast_save_entry c_; // alone: an array of these is one of those
};
static_assert(sizeof(batch_entry) == sizeof(steadfast_save_entry) && std::is_standard_layout_v<batch_entry>);

/// Saves many states, faster than one after the other; each is atomic for itself. The report, and the error code, are of
/// the first that failed; each entry has its own. A batch that is refused whole saves nothing, and each entry is
/// std::errc::operation_canceled. See steadfast_state_save_batch.
inline report save_batch(batch_entry *entries, std::size_t count, std::error_code &ec, const save_options &options = {}) noexcept
{
    report out;
    steadfast_state_save_batch(options.hooks(), reinterpret_cast<steadfast_save_entry *>(entries), count, options.c(), out.c_ptr());
    ec = out.code();
    return out;
}

/// How to treat a lock file.
class lock_options {
public:
    constexpr lock_options() noexcept = default;
    /// A foreign PID whose process is younger than the lock file is a reused one. Off by default: clocks step.
    constexpr lock_options &trust_start_time() noexcept { return flag(STEADFAST_LOCK_TRUST_START_TIME); }
    /// A forked child keeps the lock held while it lives, through exec too, and may adopt() it.
    constexpr lock_options &inherit() noexcept { return flag(STEADFAST_LOCK_INHERIT); }
    /// A descriptor that ends a wait with std::errc::operation_canceled when it can be read; 0 is none.
    constexpr lock_options &cancel_fd(int fd) noexcept
    {
        c_.cancel_fd = fd;
        return *this;
    }
    /// A signal ends a wait with std::errc::interrupted, but not one that is handled just before the wait: cancel_fd has no
    /// such race.
    constexpr lock_options &interruptible() noexcept { return flag(STEADFAST_LOCK_EINTR_RETURNS); }
    /// Permission bits of the file, less the umask; the default is 0644.
    constexpr lock_options &mode(std::uint32_t bits) noexcept
    {
        c_.mode = bits;
        return *this;
    }
    /// An empty lock file of another program is stale after this time; the default is never.
    constexpr lock_options &empty_grace(std::chrono::milliseconds time) noexcept
    {
        c_.empty_grace_ms = time.count();
        return *this;
    }
    constexpr lock_options &flag(std::uint32_t bits) noexcept
    {
        c_.flags |= bits;
        return *this;
    }
    lock_options &with(const context &hooks) noexcept
    {
        context_ = hooks.c();
        return *this;
    }
    const steadfast_lock_options *c() const noexcept { return &c_; }
    const steadfast_context *hooks() const noexcept { return context_; }

private:
    steadfast_lock_options c_ = {sizeof(steadfast_lock_options), 0, 0, 0, 0, 0};
    const steadfast_context *context_ = nullptr;
};

/// A lock file held by this process: released at the end of its scope, moves, does not copy. One thread at a time.
class lock {
public:
    lock() noexcept = default;
    /// Takes the lock, or tells why not: errc::locked, whose report().pid() holds it.
    lock(const path_arg &path, timeout wait, std::error_code &ec, const lock_options &options = {}) noexcept
    {
        if (path.valid(report_))
            steadfast_lock_acquire(options.hooks(), path.c_str(), wait.ms(), options.c(), &c_, report_.c_ptr());
        ec = report_.code();
    }
    /// Takes the lock, or throws steadfast::error. (Not defined under -fno-exceptions.)
    explicit lock(const path_arg &path, timeout wait = timeout::forever(), const lock_options &options = {});
    lock(lock &&other) noexcept : c_(std::exchange(other.c_, nullptr)), report_(other.report_) {}
    lock &operator=(lock &&other) noexcept
    {
        if (this != &other) {
            steadfast_lock_release(c_, nullptr);
            c_ = std::exchange(other.c_, nullptr);
            report_ = other.report_;
        }
        return *this;
    }
    ~lock() { steadfast_lock_release(c_, nullptr); }

    explicit operator bool() const noexcept { return c_ != nullptr; }
    /// Is it still this process's? errc::lock_lost: someone took the file away; errc::wrong_process: this is a forked child
    /// that has not adopted it, or a child has; std::errc::invalid_argument: none is held.
    steadfast::report check(std::error_code &ec) const noexcept
    {
        steadfast::report out;
        steadfast_lock_check(c_, out.c_ptr());
        ec = out.code();
        return out;
    }
    /// In a forked child of lock_options().inherit(): makes it this process's own, for a daemon whose parent ends.
    steadfast::report adopt(std::error_code &ec) noexcept
    {
        steadfast::report out;
        steadfast_lock_adopt(c_, out.c_ptr());
        ec = out.code();
        return out;
    }
    /// The same two, throwing. (Not defined under -fno-exceptions.)
    void check() const;
    void adopt();
    /// Gives it back. errc::lock_lost: someone took the file away; errc::wrong_process: this is a forked child, or a child
    /// has adopted it. Nothing to do, and no error, when none is held.
    const steadfast::report &release(std::error_code &ec) noexcept
    {
        report_ = steadfast::report();
        steadfast_lock_release(std::exchange(c_, nullptr), report_.c_ptr());
        ec = report_.code();
        return report_;
    }
    /// The same, throwing. (Not defined under -fno-exceptions.)
    void release();
    /// Of the last call, whether it took a stale lock over for instance.
    const steadfast::report &report() const noexcept { return report_; }
    /// The C lock, which is now the caller's to release.
    steadfast_lock *detach() noexcept { return std::exchange(c_, nullptr); }

private:
    steadfast_lock *c_ = nullptr;
    steadfast::report report_;
};

/// What clean_stale and inspect find. See steadfast_lock_clean_stale.
enum class verdict : std::int32_t {
    absent = STEADFAST_LOCK_ABSENT,       ///< there is no lock file
    removed = STEADFAST_LOCK_REMOVED,     ///< it was stale, and this call removed it
    held = STEADFAST_LOCK_HELD,           ///< its owner is alive
    undecided = STEADFAST_LOCK_UNDECIDED, ///< it cannot be known: kept
    ignored = STEADFAST_LOCK_IGNORED,     ///< a symbolic link or no regular file: not touched
    changed = STEADFAST_LOCK_CHANGED,     ///< someone else replaced it meanwhile: nothing done
    stale = STEADFAST_LOCK_STALE,         ///< inspect only: clean_stale would remove it
};

/// A verdict, and the report that says why.
class lock_status {
public:
    /// Only if the call did not fail.
    steadfast::verdict verdict() const noexcept { return static_cast<steadfast::verdict>(report_.status()); }
    /// Whom the lock names, 0 when nobody.
    std::int64_t pid() const noexcept { return report_.pid(); }
    const steadfast::report &report() const noexcept { return report_; }

private:
    friend lock_status clean_stale(const path_arg &, std::error_code &, const lock_options &) noexcept;
    friend lock_status inspect(const path_arg &, std::error_code &, const lock_options &) noexcept;
    steadfast::report report_;
};

/// Removes the lock file if its owner is provably dead; never takes it from a live one.
inline lock_status clean_stale(const path_arg &path, std::error_code &ec, const lock_options &options = {}) noexcept
{
    lock_status out;
    if (path.valid(out.report_))
        steadfast_lock_clean_stale(options.hooks(), path.c_str(), options.c(), out.report_.c_ptr());
    ec = out.report_.code();
    return out;
}

/// Says what clean_stale would do; changes nothing.
inline lock_status inspect(const path_arg &path, std::error_code &ec, const lock_options &options = {}) noexcept
{
    lock_status out;
    if (path.valid(out.report_))
        steadfast_lock_inspect(options.hooks(), path.c_str(), options.c(), out.report_.c_ptr());
    ec = out.report_.code();
    return out;
}

#if STEADFAST_EXCEPTIONS

inline report save(const path_arg &path, const data_arg &data, const save_options &options = {})
{
    std::error_code ec;
    const report out = save(path, data, ec, options);
    detail::throw_unless_done(out);
    return out;
}

inline report remove(const path_arg &path, const save_options &options = {})
{
    std::error_code ec;
    const report out = remove(path, ec, options);
    detail::throw_unless_done(out);
    return out;
}

template <class Change>
report update(const path_arg &path, Change &&change, const save_options &saving = {}, const load_options &loading = {})
{
    std::error_code ec;
    const report out = update(path, std::forward<Change>(change), ec, saving, loading);
    detail::throw_unless_done(out);
    return out;
}

inline state load(const path_arg &path, const load_options &options = {})
{
    std::error_code ec;
    state out = load(path, ec, options);
    detail::throw_unless_done(out.report());
    return out;
}

inline loaded load_into(const path_arg &path, void *buffer, std::size_t capacity, const load_options &options = {})
{
    std::error_code ec;
    const loaded out = load_into(path, buffer, capacity, ec, options);
    detail::throw_unless_done(out.report());
    return out;
}

inline report save_batch(batch_entry *entries, std::size_t count, const save_options &options = {})
{
    std::error_code ec;
    const report out = save_batch(entries, count, ec, options);
    detail::throw_unless_done(out);
    return out;
}

inline writer::writer(const path_arg &path, const save_options &options)
{
    report out;
    if (path.valid(out))
        steadfast_writer_open(options.hooks(), path.c_str(), options.c(), &c_, out.c_ptr());
    detail::throw_unless_done(out);
}

inline void writer::write(const data_arg &data)
{
    std::error_code ec;
    detail::throw_unless_done(write(data, ec));
}

inline int writer::fd()
{
    report out;
    std::int32_t fd = -1;
    steadfast_writer_fd(c_, &fd, out.c_ptr());
    detail::throw_unless_done(out);
    return fd;
}

inline report writer::commit()
{
    std::error_code ec;
    const report out = commit(ec);
    detail::throw_unless_done(out);
    return out;
}

inline reader::reader(const path_arg &path, const load_options &options) : about_()
{
    std::error_code ec;
    *this = reader(path, ec, options);
    detail::throw_unless_done(report_);
}

inline std::size_t reader::read(std::uint64_t offset, void *buffer, std::size_t capacity)
{
    steadfast::report out;
    std::size_t len = 0;
    steadfast_reader_read(c_, offset, buffer, capacity, &len, out.c_ptr());
    detail::throw_unless_done(out);
    return len;
}

inline report output_stream::commit()
{
    std::error_code ec;
    const report done = commit(ec);
    detail::throw_unless_done(done);
    return done;
}

inline lock_status clean_stale(const path_arg &path, const lock_options &options = {})
{
    std::error_code ec;
    const lock_status out = clean_stale(path, ec, options);
    detail::throw_unless_done(out.report());
    return out;
}

inline lock_status inspect(const path_arg &path, const lock_options &options = {})
{
    std::error_code ec;
    const lock_status out = inspect(path, ec, options);
    detail::throw_unless_done(out.report());
    return out;
}

inline context::context(const steadfast_hooks &hooks)
{
    report made;
    made.c_ptr()->status = steadfast_context_new(&hooks, &c_);
    std::snprintf(made.c_ptr()->message, sizeof made.c_ptr()->message, "the table of hooks is not accepted");
    detail::throw_unless_done(made);
}

inline lock::lock(const path_arg &path, timeout wait, const lock_options &options)
{
    std::error_code ec;
    *this = lock(path, wait, ec, options);
    detail::throw_unless_done(report_);
}

inline context context::at(const path_arg &directory, std::uint32_t flags)
{
    std::error_code ec;
    context made = at(directory, ec, flags);
    report out;
    out.c_ptr()->status = ec.category() == category() ? ec.value() : -ec.value();
    std::snprintf(out.c_ptr()->message, sizeof out.c_ptr()->message, "the directory is not accepted: %s", directory.c_str());
    detail::throw_unless_done(out);
    return made;
}

inline void lock::check() const
{
    std::error_code ec;
    detail::throw_unless_done(check(ec));
}

inline void lock::adopt()
{
    std::error_code ec;
    detail::throw_unless_done(adopt(ec));
}

inline void lock::release()
{
    std::error_code ec;
    detail::throw_unless_done(release(ec));
}

#endif

// Of two kinds, so that translation units with and without exceptions can be linked together.
#if STEADFAST_EXCEPTIONS
inline namespace throwing {
#else
inline namespace not_throwing {
#endif

/// A TimedLockable over a lock file, for std::unique_lock, std::lock_guard and std::scoped_lock: excludes other
/// processes and other threads of this one, which may share the object. Not recursive.
///
/// If someone takes the file away, another thread can get in while the holder goes on. What that one then unlocks is its
/// own lost lock, and not the other's. Afterwards the mutex can be locked as before. check() and unlock() with an error_code
/// tell the loss; after guards, which cannot, losses() has counted it.
///
/// "It is held" is an answer of the try_ calls. Anything else that goes wrong (no such directory) throws
/// steadfast::error; under -fno-exceptions it is written to stderr and the program aborts, as the standard library's do:
/// use the calls with an error_code there.
class mutex {
public:
    /// Copies the path (the one allocation); the hooks of `options` must outlive this object.
    explicit mutex(std::filesystem::path path, const lock_options &options = {}) : path_(std::move(path)), options_(options) {}
    mutex(const mutex &) = delete;
    mutex &operator=(const mutex &) = delete;
    /// Releases it if it is still locked.
    ~mutex() { steadfast_lock_release(holder_.lock, nullptr); }

    void lock() { acquire_or_raise(timeout::forever()); }
    bool try_lock() { return acquire_or_raise(timeout(std::chrono::milliseconds(0))); }
    bool try_lock_for(timeout wait) { return acquire_or_raise(wait); }
    template <class Clock, class Duration> bool try_lock_until(std::chrono::time_point<Clock, Duration> when)
    {
        return acquire_or_raise(timeout(when - Clock::now()));
    }
    /// True when it was taken; errc::locked when it was not in time.
    bool try_lock_for(timeout wait, std::error_code &ec) noexcept
    {
        ec = acquire(wait).code();
        return !ec;
    }
    /// Never fails: if someone took the file away, what is there now is not touched.
    void unlock() noexcept
    {
        std::error_code ec;
        unlock(ec);
    }
    /// The same, telling: errc::lock_lost if someone took the file away. It is unlocked in any case. A guard's release() leaves the
    /// unlocking to this.
    void unlock(std::error_code &ec) noexcept
    {
        steadfast_lock *ours = nullptr;
        {
            const std::lock_guard<std::mutex> guard(inner_);
            if (is_lost_to_another()) {
                lost_--;
                losses_++;
                ec = errc::lock_lost;
                return;
            }
            ours = std::exchange(holder_.lock, nullptr);
        }
        report out;
        steadfast_lock_release(ours, out.c_ptr());
        ec = out.code();
        if (ec == errc::lock_lost) {
            const std::lock_guard<std::mutex> guard(inner_);
            losses_++;
        }
    }
    /// For the thread that has locked it: errc::lock_lost if someone took the file away. std::errc::invalid_argument: it is not
    /// locked.
    void check(std::error_code &ec) const noexcept
    {
        const std::lock_guard<std::mutex> guard(inner_);
        report out;
        steadfast_lock_check(holder_.lock, out.c_ptr());
        ec = is_lost_to_another() ? make_error_code(errc::lock_lost) : out.code();
    }
    /// How many locks were found lost when they were unlocked, by guards as well.
    std::size_t losses() const noexcept
    {
        const std::lock_guard<std::mutex> guard(inner_);
        return losses_;
    }

private:
    struct holder {
        steadfast_lock *lock;
        pthread_t thread;
    };

    /// Under the inner mutex: another thread has taken what this one had, or still has.
    bool is_lost_to_another() const noexcept { return lost_ > 0 && !pthread_equal(holder_.thread, pthread_self()); }

    report acquire(timeout wait) noexcept
    {
        std::error_code ec;
        steadfast::lock taken(path_, wait, ec, options_);
        if (taken) {
            // Under the inner mutex, as in unlock(): what the last holder wrote before that is seen here.
            holder before = {taken.detach(), pthread_self()};
            {
                const std::lock_guard<std::mutex> guard(inner_);
                std::swap(holder_, before);
                // Somebody has a lock that was lost, and is still to unlock it.
                if (before.lock != nullptr && !pthread_equal(before.thread, holder_.thread))
                    lost_++;
            }
            steadfast_lock_release(before.lock, nullptr);
        }
        return taken.report();
    }

    bool acquire_or_raise(timeout wait)
    {
        const report out = acquire(wait);
        if (out)
            return true;
        if (out.status() == STEADFAST_E_LOCKED && wait.ms() >= 0)
            return false;
#if STEADFAST_EXCEPTIONS
        throw error(out);
#else
        std::fprintf(stderr, "steadfast::mutex: %s\n", out.message());
        std::abort();
#endif
    }

    const std::filesystem::path path_;
    const lock_options options_;
    mutable std::mutex inner_;
    holder holder_ = {nullptr, pthread_self()};
    std::size_t lost_ = 0; // locks that were lost and taken by another thread, and whose holders have not unlocked yet
    std::size_t losses_ = 0;
};

} // namespace throwing or not_throwing

} // namespace steadfast

#endif // STEADFAST_HPP
