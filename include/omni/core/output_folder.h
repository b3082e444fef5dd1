// What guards the files of others where a folder of results is replaced as a whole.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace omni {

// Refuses a folder that may not be replaced by one known by its file `marker`: for what require_replaceable()
// refuses, and, by its name, for a file in it or below that is not `written` by what fills the folder. `written`
// gets paths from the folder on, "shape_tokenizer/config.yaml". Throws Error(usage).
void require_only_written(const std::filesystem::path& folder, std::string_view marker,
                          const std::function<bool(const std::string& name)>& written);

// The same of files whose names match one of `patterns` (matches_pattern(); * stands for slashes, too).
void require_only_written(const std::filesystem::path& folder, std::string_view marker,
                          std::span<const std::string_view> patterns);

// Refuses a source that lies in the folder which is to be replaced, or is it. Links are followed. Throws
// Error(usage).
void require_outside(const std::filesystem::path& source, const std::filesystem::path& folder);

}  // namespace omni
