// The header once more, in a second translation unit: built with or without exceptions, whichever the first is not.
#include "other_unit.h"

#include <mutex>

const std::error_category &category_of_other_unit() noexcept
{
    return steadfast::category();
}

steadfast::state load_in_other_unit(const std::string &path, std::error_code &ec) noexcept
{
    return steadfast::load(path, ec);
}

steadfast::lock lock_in_other_unit(const std::string &path, std::error_code &ec) noexcept
{
    return {path, std::chrono::milliseconds(0), ec};
}

bool mutex_in_other_unit(const std::string &path)
{
    steadfast::mutex mutex(path);
    const std::unique_lock<steadfast::mutex> held(mutex, std::try_to_lock);
    return held.owns_lock();
}
