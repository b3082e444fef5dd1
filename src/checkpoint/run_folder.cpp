#include "omni/checkpoint/run_folder.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <system_error>

#include "old_format.h"
#include "omni/checkpoint/reader.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "omni/core/log.h"
#include "omni/core/text_format.h"

namespace omni::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kDamaged = ".damaged";

// All folders of steps, by rising step; with or without a manifest.
std::vector<CheckpointEntry> step_folders(const fs::path& run_folder) {
  std::vector<CheckpointEntry> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(run_folder, missing)) {
    const auto step = step_of(entry.path());
    if (step && entry.is_directory(missing)) found.push_back({entry.path(), *step});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

// The manifest goes first, so that no moment knows half a checkpoint.
void remove_checkpoint(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path / kManifestName, ignored);
  fs::remove(path / kOldStateName, ignored);
  fs::remove_all(path, ignored);
}

void put_aside(const fs::path& path) {
  fs::path aside = path;
  aside += kDamaged;
  std::error_code error;
  fs::remove_all(aside, error);
  fs::rename(path, aside, error);
  if (error)
    fail(ErrorKind::io, "cannot rename the damaged checkpoint '", path.string(), "': ", error.message(),
         ". Remove it");
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
  return text;
}

std::string gigabytes(double bytes) { return with_decimals(bytes / 1e9, bytes < 1e8 ? 4 : 1) + " GB"; }

}  // namespace

fs::path checkpoint_path(const fs::path& run_folder, std::int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return run_folder / name;
}

std::optional<std::int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* const last = name.data() + name.size();
  const auto [end, error] = std::from_chars(name.data() + kPrefix.size(), last, step);
  if (error != std::errc() || end != last || step < 0) return std::nullopt;
  return step;
}

fs::path common_folder(const fs::path& run_folder) { return run_folder / "common"; }

fs::path common_folder_of(const fs::path& checkpoint) {
  if (!fs::exists(checkpoint / kManifestName) && is_old_checkpoint(checkpoint)) return checkpoint / "bundle";
  const fs::path named = checkpoint.filename().empty() ? checkpoint.parent_path() : checkpoint;
  return common_folder(fs::absolute(named).parent_path());
}

std::vector<StoredFile> stored_files(const fs::path& folder) {
  std::vector<StoredFile> files;
  for (const fs::path& path : files_below(folder))
    files.push_back({path.lexically_relative(folder).generic_string(), fs::file_size(path), hash_file(path)});
  return files;
}

std::vector<CheckpointEntry> checkpoints_in(const fs::path& run_folder) {
  std::vector<CheckpointEntry> found = step_folders(run_folder);
  std::erase_if(found, [](const CheckpointEntry& entry) { return !is_checkpoint(entry.path); });
  return found;
}

std::optional<fs::path> newest_sound(const fs::path& run_folder) {
  std::vector<CheckpointEntry> all = step_folders(run_folder);
  std::vector<std::string> unusable;
  bool any = false;
  for (auto entry = all.rbegin(); entry != all.rend(); ++entry) {
    any = any || is_checkpoint(entry->path);
    const std::vector<std::string> damage = damage_of(entry->path);
    if (damage.empty()) {
      if (!unusable.empty())
        log_warning(joined(unusable), ". Going on from the checkpoint before, '", entry->path.string(), "'");
      return entry->path;
    }
    unusable.push_back(joined(damage));
  }
  if (any)
    fail(ErrorKind::input, "reading the checkpoints in '", run_folder.string(),
         "': none can be used: ", joined(unusable),
         ". Bring one back from a copy, or remove that folder to start anew");
  return std::nullopt;
}

void tidy(const fs::path& run_folder, std::int64_t done_steps) {
  for (const CheckpointEntry& entry : step_folders(run_folder)) {
    if (!is_checkpoint(entry.path))
      remove_checkpoint(entry.path);
    else if (entry.step > done_steps)
      put_aside(entry.path);
  }
  std::vector<fs::path> remains;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(run_folder, ignored))
    if (entry.path().extension() == ".tmp") remains.push_back(entry.path());
  for (const fs::path& path : remains) fs::remove_all(path, ignored);
}

void retire(const fs::path& run_folder, const Retention& retention) {
  const std::vector<CheckpointEntry> all = checkpoints_in(run_folder);
  const auto newest = static_cast<std::size_t>(std::max<std::int64_t>(1, retention.kept));
  for (std::size_t i = 0; i + newest < all.size(); ++i)
    if (all[i].step != retention.step && (retention.every <= 0 || all[i].step % retention.every != 0))
      remove_checkpoint(all[i].path);
}

void require_space(const fs::path& run_folder, std::uint64_t checkpoint_bytes, std::int64_t count) {
  fs::path existing = fs::absolute(run_folder);
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  const fs::space_info space = fs::space(existing, error);
  if (error) return;  // the file system does not tell
  double available = static_cast<double>(space.available);
  for (const CheckpointEntry& entry : checkpoints_in(run_folder))
    for (const fs::path& file : files_below(entry.path))
      available += static_cast<double>(fs::file_size(file, error));
  const double needed = static_cast<double>(checkpoint_bytes) * static_cast<double>(count);
  if (needed <= available) return;
  fail(ErrorKind::io, "training into '", run_folder.parent_path().string(), "': ", count, " checkpoints of ",
       gigabytes(static_cast<double>(checkpoint_bytes)), " take ", gigabytes(needed), ", and its disk has ",
       gigabytes(available), " for them. Free some space, lower checkpoints_kept, or choose another output");
}

}  // namespace omni::checkpoint
