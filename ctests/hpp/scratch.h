// A directory of its own for each test program, gone at its end.
#ifndef SCRATCH_H
#define SCRATCH_H

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

class scratch {
public:
    scratch()
    {
        const char *base = std::getenv("TMPDIR");
        dir_ = std::string(base == nullptr ? "/tmp" : base) + "/steadfast-hpp-XXXXXX";
        if (mkdtemp(dir_.data()) == nullptr)
            std::abort();
    }
    scratch(const scratch &) = delete;
    scratch &operator=(const scratch &) = delete;
    ~scratch()
    {
        std::error_code ignored;
        std::filesystem::remove_all(dir_, ignored);
    }
    std::string operator/(const char *name) const { return dir_ + "/" + name; }

private:
    std::string dir_;
};

inline bool exists(const std::string &path)
{
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

inline std::string content(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline void put(const std::string &path, const std::string &bytes)
{
    std::ofstream(path, std::ios::binary) << bytes;
}

#endif
