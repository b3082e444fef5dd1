#pragma once

#include <cstdint>
#include <filesystem>

namespace omni::model {

// Beside the copy of a text tower in a bundle: which state of its files was found to have which fingerprint when all of it was
// last read. Made anew when that changes; may be deleted at any time.
inline constexpr const char* kTowerStampName = "text_tower.stamp";

// Whether that copy has the fingerprint of BundleTextTower. All of it is read where its stamp (size, time, header and some
// pieces of the weights, and the other files) is not the one that stands beside it. Throws Error(io), Error(input).
bool has_fingerprint(const std::filesystem::path& tower, std::uint64_t fingerprint);

}  // namespace omni::model
