#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace omni::geometry {

// The first bytes, at most `limit`, of the file in a ZIP archive that is called `name`, or else of the first
// one whose name ends with `ending`; empty where there is none or the archive is broken. Stored and deflated
// files.
std::string read_zip_member(std::span<const std::byte> archive, std::string_view name,
                            std::string_view ending, std::size_t limit);

}  // namespace omni::geometry
