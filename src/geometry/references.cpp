#include "references.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

#include "omni/core/error.h"
#include "omni/core/utf8.h"

namespace omni::geometry {
namespace {

namespace fs = std::filesystem;

// "%20" and the like; broken escapes stay as they are.
std::string decode_percent(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() && std::isxdigit((unsigned char)text[i + 1]) &&
                        std::isxdigit((unsigned char)text[i + 2]);
    result.push_back(escape ? char(std::stoi(text.substr(i + 1, 2), nullptr, 16)) : text[i]);
    if (escape) i += 2;
  }
  return result;
}

// As it is written and with its escapes decoded, slashes forward, without the scheme of local files.
std::vector<std::string> readings_of(const std::string& reference) {
  std::vector<std::string> readings;
  for (std::string text : {decode_percent(reference), reference}) {
    std::replace(text.begin(), text.end(), '\\', '/');
    if (text.rfind("file://", 0) == 0) text.erase(0, 7);
    const bool usable = !text.empty() && text.find('\0') == std::string::npos;
    if (usable && std::find(readings.begin(), readings.end(), text) == readings.end())
      readings.push_back(text);
  }
  return readings;
}

// Where `relative` leads, through links, if that is in `folder`.
std::optional<fs::path> inside(const fs::path& folder, const fs::path& relative) {
  if (relative.is_absolute()) return std::nullopt;
  const fs::path normal = relative.lexically_normal();
  if (normal.empty() || *normal.begin() == "..") return std::nullopt;
  std::error_code error;
  const fs::path real = fs::weakly_canonical(folder / normal, error);
  if (error) return std::nullopt;
  const fs::path real_folder = fs::weakly_canonical(folder, error);
  if (error) return std::nullopt;
  const fs::path way = real.lexically_relative(real_folder);
  if (way.empty() || *way.begin() == "..") return std::nullopt;
  return real;
}

bool equal_ignoring_case(const std::string& a, const std::string& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The path below `folder` that differs from `relative` in the case of letters alone, first by name; empty
// without.
fs::path in_any_case(const fs::path& folder, const fs::path& relative) {
  fs::path found;
  for (const fs::path& part : relative.lexically_normal()) {
    std::error_code error;
    if (part == ".." || fs::exists(folder / found / part, error)) {
      found /= part;
      continue;
    }
    std::string best;
    for (fs::directory_iterator at(folder / found, error), end; !error && at != end; at.increment(error)) {
      const std::string entry = at->path().filename().string();
      if (equal_ignoring_case(entry, part.string()) && (best.empty() || entry < best)) best = entry;
    }
    if (best.empty()) return {};
    found /= best;
  }
  return found;
}

std::optional<fs::path> existing_file(const fs::path& folder, const fs::path& relative) {
  if (!inside(folder, relative)) return std::nullopt;
  const fs::path spelt = in_any_case(folder, relative);
  const std::optional<fs::path> real = spelt.empty() ? std::nullopt : inside(folder, spelt);
  std::error_code error;
  return real && fs::is_regular_file(*real, error) ? real : std::nullopt;
}

[[noreturn]] void refuse(const std::string& reference, const std::string& name, const char* reason) {
  fail(ErrorKind::input, "cannot read mesh ", name, ": it refers to \"", printable(reference), "\", ", reason,
       ". Only files in the mesh's own folder are read.");
}

}  // namespace

fs::path resolve_reference(const std::string& reference, const fs::path& folder, const std::string& name) {
  const std::vector<std::string> readings = readings_of(reference);
  if (readings.empty()) refuse(reference, name, "which is no file name");
  if (folder.empty()) refuse(reference, name, "but it was not read from a folder");
  if (readings.front().find("://") != std::string::npos) refuse(reference, name, "which is on the network");
  if (fs::path(readings.front()).is_absolute()) refuse(reference, name, "which is an absolute path");
  std::error_code error;
  for (const std::string& reading : readings)
    if (const auto real = inside(folder, reading); real && fs::exists(*real, error)) return *real;
  const std::optional<fs::path> missing = inside(folder, readings.front());
  if (!missing) refuse(reference, name, "which lies outside its folder");
  return *missing;
}

fs::path find_optional_file(const std::string& reference, const fs::path& folder, const fs::path& within,
                            const std::string& name) {
  const std::vector<std::string> readings = readings_of(reference);
  if (readings.empty()) refuse(reference, name, "which is no file name");
  if (folder.empty()) refuse(reference, name, "but it was not read from a folder");
  for (const bool by_base_name : {false, true})
    for (const std::string& reading : readings)
      for (const fs::path& base : {within, fs::path()}) {
        const fs::path path = by_base_name ? fs::path(reading).filename() : fs::path(reading);
        if (path.empty() || path.is_absolute()) continue;
        if (const auto file = existing_file(folder, base / path)) return *file;
      }
  refuse(reference, name,
         fs::path(readings.front()).is_absolute() || !inside(folder, within / readings.front())
             ? "which lies outside its folder, and no file of that name lies beside it"
             : "which is not there, nor does a file of that name lie beside it");
}

}  // namespace omni::geometry
