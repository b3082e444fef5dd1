#include "omni/core/weight_source.h"

#include <algorithm>
#include <set>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kFileName = "model.safetensors";
constexpr std::uint64_t kLargestIndex = std::uint64_t{64} << 20;

// A folder's index or file; any other path itself.
fs::path file_of(const fs::path& path) {
  if (!fs::is_directory(path)) return path;
  for (const char* name : {kIndexName, kFileName})
    if (fs::exists(path / name)) return path / name;
  fail(ErrorKind::io, "cannot read the weights in '", path.string(), "': there is neither ", kIndexName,
       " nor ", kFileName, ". Name the file of weights itself");
}

bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

}  // namespace

std::map<std::string, std::string> parse_weight_index(std::string_view json, const std::string& name) {
  const auto refuse = [&](const auto&... what) {
    fail(ErrorKind::input, "reading '", name, "': ", what..., ". Take the file anew from where it came");
  };
  const nlohmann::json index = parse_json_or_discard(json);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    refuse("it is no index of safetensors files: it has no mapping 'weight_map'");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string() || !is_file_name(file.get_ref<const std::string&>()))
      refuse("the place of the tensor '", tensor, "' is not the name of a file beside the index");
    files.emplace(tensor, file.get<std::string>());
  }
  if (files.empty()) refuse("it lists no tensors");
  return files;
}

void WeightSource::add(const fs::path& path) {
  files_.emplace_back(path);
  paths_.push_back(path);
  for (const auto& [tensor, view] : files_.back().tensors()) {
    if (!tensors_.emplace(tensor, view).second)
      fail(ErrorKind::input, "reading '", path.string(), "': the tensor '", tensor,
           "' is in another shard as well. The files do not belong together");
  }
}

WeightSource::WeightSource(const fs::path& path) {
  const fs::path file = file_of(path);
  name_ = file.string();
  if (lower_extension(file) != ".json") {
    add(file);
    return;
  }
  const auto places = parse_weight_index(read_file_text(file, kLargestIndex), name_);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : places) names.insert(shard);
  for (const std::string& shard : names) {
    if (!fs::exists(file.parent_path() / shard))
      fail(ErrorKind::io, "reading '", name_, "': it lists the file '", shard,
           "', which is not there. Fetch it into the same folder");
    add(file.parent_path() / shard);
  }
  for (const auto& [tensor, shard] : places) {
    const auto number = static_cast<std::size_t>(std::distance(names.begin(), names.find(shard)));
    if (!files_[number].contains(tensor) && !files_[number].other_types().contains(tensor))
      fail(ErrorKind::input, "reading '", name_, "': the tensor '", tensor, "' is not in '", shard,
           "', where the index says it is");
  }
  for (const auto& [tensor, view] : tensors_)
    if (!places.contains(tensor))
      fail(ErrorKind::input, "reading '", name_, "': its files hold the tensor '", tensor,
           "', which the index does not list. The files do not belong together");
}

const TensorView& WeightSource::at(const std::string& tensor) const {
  if (const auto found = tensors_.find(tensor); found != tensors_.end()) return found->second;
  for (const SafetensorsFile& file : files_)
    if (file.other_types().contains(tensor)) return file.at(tensor);  // which says so
  fail(ErrorKind::input, "reading '", name_, "': the tensor '", tensor, "' is missing");
}

double WeightSource::element_count() const {
  double count = 0;
  for (const auto& [name, view] : tensors_) count += static_cast<double>(view.element_count());
  return count;
}

}  // namespace omni
