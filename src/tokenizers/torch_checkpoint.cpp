#include "omni/tokenizers/torch_checkpoint.h"

#include <cstring>
#include <limits>
#include <optional>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "torch_pickle.h"
#include "torch_zip.h"

namespace omni::tokenizers {
namespace {

using Entries = std::map<std::string, std::span<const std::byte>>;
using Kind = PickleValue::Kind;

// Nothing for types that nothing here computes with.
std::optional<at::ScalarType> dtype_of(const std::string& storage) {
  static const std::map<std::string, at::ScalarType> types = {
      {"FloatStorage", at::kFloat},       {"DoubleStorage", at::kDouble}, {"HalfStorage", at::kHalf},
      {"BFloat16Storage", at::kBFloat16}, {"LongStorage", at::kLong},     {"IntStorage", at::kInt},
      {"ShortStorage", at::kShort},       {"CharStorage", at::kChar},     {"ByteStorage", at::kByte},
      {"BoolStorage", at::kBool}};
  const auto found = types.find(storage);
  if (found == types.end()) return {};
  return found->second;
}

// The element behind the last one that a tensor touches; fails where it would leave [0, available).
void check_extent(const PickleValue& tensor, std::int64_t available) {
  if (tensor.sizes.size() != tensor.strides.size() || tensor.sizes.size() > 16) {
    fail(ErrorKind::input, "a tensor's sizes and strides do not fit together");
  }
  const auto limit = static_cast<std::uint64_t>(available);
  if (tensor.integer < 0) fail(ErrorKind::input, "a tensor begins before its storage");
  std::uint64_t last = static_cast<std::uint64_t>(tensor.integer), elements = 1;
  for (std::size_t d = 0; d < tensor.sizes.size(); ++d) {
    const std::int64_t size = tensor.sizes[d], stride = tensor.strides[d];
    if (size < 0 || stride < 0) fail(ErrorKind::input, "a tensor has a negative size or stride");
    // A stride of 0 repeats elements without end, so the element count is bounded beside the extent.
    if (size > 0 && elements > limit / static_cast<std::uint64_t>(size))
      fail(ErrorKind::input, "a tensor is larger than its storage");
    elements *= static_cast<std::uint64_t>(size);
    const std::uint64_t steps = size > 0 ? static_cast<std::uint64_t>(size - 1) : 0;
    if (steps > 0 && static_cast<std::uint64_t>(stride) > limit / steps)
      fail(ErrorKind::input, "a tensor leaves its storage");
    last += steps * static_cast<std::uint64_t>(stride);
    if (last > limit) fail(ErrorKind::input, "a tensor leaves its storage");
  }
  if (elements > 0 && last >= limit) fail(ErrorKind::input, "a tensor leaves its storage");
}

class StateReader {
 public:
  explicit StateReader(const Entries& entries) : entries_(entries) {
    for (const auto& [name, bytes] : entries) {
      if (name.ends_with("/data.pkl") || name == "data.pkl") folder_ = name.substr(0, name.size() - 8);
    }
    if (const auto order = entries.find(folder_ + "byteorder"); order != entries.end()) {
      const std::string_view text(reinterpret_cast<const char*>(order->second.data()), order->second.size());
      if (text != "little") fail(ErrorKind::input, "its numbers are not little-endian");
    }
  }

  std::map<std::string, at::Tensor> read() {
    const auto pickle_bytes = entries_.find(folder_ + "data.pkl");
    if (pickle_bytes == entries_.end())
      fail(ErrorKind::input, "the archive holds no data.pkl, so it is no PyTorch checkpoint");
    const Pickle pickle = read_pickle(pickle_bytes->second);
    walk(*pickle.root, "", 0);
    return std::move(tensors_);
  }

 private:
  void walk(const PickleValue& value, const std::string& path, int depth) {
    constexpr int deepest = 32;
    constexpr std::int64_t maximum_values = 1'000'000;
    if (depth > deepest || ++visited_ > maximum_values)
      fail(ErrorKind::input, "its dictionaries are nested too deeply");
    if (value.kind == Kind::tensor) {
      if (const auto dtype = dtype_of(value.items.at(0)->dtype)) tensors_[path] = read_tensor(value, *dtype);
    }
    if (value.kind != Kind::dictionary) return;
    for (const auto& [key, item] : value.entries) {
      if (key->kind == Kind::text) walk(*item, path.empty() ? key->text : path + "." + key->text, depth + 1);
    }
  }

  at::Tensor read_tensor(const PickleValue& value, at::ScalarType dtype) const {
    const PickleValue& storage = *value.items.at(0);
    const auto found = entries_.find(folder_ + "data/" + storage.text);
    if (found == entries_.end()) fail(ErrorKind::input, "the storage '", storage.text, "' is missing");
    const auto available = static_cast<std::int64_t>(found->second.size() / c10::elementSize(dtype));
    check_extent(value, available);
    at::Tensor flat = at::empty({available}, dtype);
    if (available > 0) std::memcpy(flat.mutable_data_ptr(), found->second.data(), flat.nbytes());
    return at::as_strided(flat, value.sizes, value.strides, value.integer)
        .clone(at::MemoryFormat::Contiguous);
  }

  const Entries& entries_;
  std::string folder_;
  std::map<std::string, at::Tensor> tensors_;
  std::int64_t visited_ = 0;
};

}  // namespace

std::map<std::string, at::Tensor> parse_torch_checkpoint(std::span<const std::byte> bytes,
                                                         const std::string& name) {
  try {
    const Entries entries = read_stored_zip(bytes);
    return StateReader(entries).read();
  } catch (const Error& error) {
    throw Error(error.kind(), concat("cannot read the PyTorch checkpoint ", name, ": ", error.what()));
  }
}

std::map<std::string, at::Tensor> read_torch_checkpoint(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file_bytes(path);
  return parse_torch_checkpoint(bytes, path.string());
}

}  // namespace omni::tokenizers
