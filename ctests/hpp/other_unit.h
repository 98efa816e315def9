// What the second translation unit of each program offers; see other_unit.cc.
#ifndef OTHER_UNIT_H
#define OTHER_UNIT_H

#include "steadfast.hpp"

#include <string>

const std::error_category &category_of_other_unit() noexcept;
steadfast::state load_in_other_unit(const std::string &path, std::error_code &ec) noexcept;
steadfast::lock lock_in_other_unit(const std::string &path, std::error_code &ec) noexcept;
bool mutex_in_other_unit(const std::string &path);

#endif
