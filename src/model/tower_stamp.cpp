#include "tower_stamp.h"

#include "omni/core/content_hash.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/log.h"
#include "omni/core/text_format.h"
#include "panel_hashes.h"

namespace omni::model {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "model.safetensors";
constexpr std::uint64_t kLargestStamp = 4096;  // bytes

std::string stamp_of(const fs::path& tower) {
  const std::uint64_t others =
      content_hash(tower, [](const fs::path& file) { return file.filename() != kWeights; });
  return concat(hexadecimal(others), stamp_of_files({tower / kWeights}), "\n");
}

// What somebody else may have put there, too: anything.
std::string read_stamp(const fs::path& file) {
  std::error_code unreadable;
  if (!fs::is_regular_file(file, unreadable)) return "";
  try {
    return read_file_text(file, kLargestStamp);
  } catch (const Error& error) {
    log_debug("reading all of a text tower: ", error.what());
    return "";
  }
}

}  // namespace

bool has_fingerprint(const fs::path& tower, std::uint64_t fingerprint) {
  const fs::path file = tower.parent_path() / kTowerStampName;
  // Before all is read: what changes meanwhile has another one.
  const std::string expected = concat(hexadecimal(fingerprint), ' ', stamp_of(tower));
  if (read_stamp(file) == expected) return true;
  if (content_hash(tower) != fingerprint) return false;
  try {
    write_file_atomically(file, expected);
  } catch (const Error& error) {  // a bundle that others own
    log_debug("the text tower will be read whole again: ", error.what());
  }
  return true;
}

}  // namespace omni::model
