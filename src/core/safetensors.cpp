#include "omni/core/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>

#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/hash.h"
#include "omni/core/json_text.h"

namespace omni {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

struct DTypeEntry {
  DType dtype;
  std::string_view name;
  std::size_t size;
};
constexpr std::array<DTypeEntry, 9> kDTypes{{{DType::f64, "F64", 8},
                                             {DType::f32, "F32", 4},
                                             {DType::f16, "F16", 2},
                                             {DType::bf16, "BF16", 2},
                                             {DType::i64, "I64", 8},
                                             {DType::i32, "I32", 4},
                                             {DType::i16, "I16", 2},
                                             {DType::i8, "I8", 1},
                                             {DType::u8, "U8", 1}}};

const DTypeEntry& entry_of(DType dtype) {
  static constexpr DTypeEntry kBoolean{DType::boolean, "BOOL", 1};
  for (const DTypeEntry& entry : kDTypes) {
    if (entry.dtype == dtype) return entry;
  }
  return kBoolean;
}

// A type as a file names it.
struct StoredType {
  std::optional<DType> dtype;  // nothing: of the format, but not to be read
  std::uint64_t bits = 0;      // of one element
};

StoredType parse_type(const std::string& name, const std::string& file, const std::string& tensor) {
  for (const DTypeEntry& entry : kDTypes) {
    if (entry.name == name) return {entry.dtype, 8 * entry.size};
  }
  if (name == "BOOL") return {DType::boolean, 8};
  static const std::map<std::string, std::uint64_t> kOthers = {
      {"F4", 4},          {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8},
      {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"U16", 16},    {"U32", 32},    {"U64", 64},    {"C64", 64}};
  if (const auto found = kOthers.find(name); found != kOthers.end()) return {{}, found->second};
  fail(ErrorKind::input, "reading '", file, "': tensor '", tensor, "' has the unknown type '", name, "'");
}

// The header is at most this long in any sane file (the reference implementation's limit).
constexpr std::uint64_t kHeaderLimit = 100'000'000;

template <class T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<std::int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
  return DType::u8;
}

}  // namespace

std::size_t dtype_size(DType dtype) { return entry_of(dtype).size; }
std::string_view dtype_name(DType dtype) { return entry_of(dtype).name; }

std::int64_t TensorView::element_count() const {
  std::int64_t count = 1;
  for (const std::int64_t side : shape) count *= side;
  return count;
}

template <class T>
std::vector<T> TensorView::to_vector() const {
  if (dtype != dtype_of<T>()) {
    fail(ErrorKind::input, "a tensor of type ", dtype_name(dtype), " was read as ",
         dtype_name(dtype_of<T>()));
  }
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}
template std::vector<double> TensorView::to_vector() const;
template std::vector<float> TensorView::to_vector() const;
template std::vector<std::int64_t> TensorView::to_vector() const;
template std::vector<std::int32_t> TensorView::to_vector() const;
template std::vector<std::int16_t> TensorView::to_vector() const;
template std::vector<std::int8_t> TensorView::to_vector() const;
template std::vector<std::uint8_t> TensorView::to_vector() const;

template <class T>
TensorView tensor_view(const std::vector<T>& values, std::vector<std::int64_t> shape) {
  TensorView view{dtype_of<T>(), std::move(shape), std::as_bytes(std::span(values))};
  ensure(view.element_count() == static_cast<std::int64_t>(values.size()),
         "a tensor's shape does not fit its values");
  return view;
}
template TensorView tensor_view(const std::vector<double>&, std::vector<std::int64_t>);
template TensorView tensor_view(const std::vector<float>&, std::vector<std::int64_t>);
template TensorView tensor_view(const std::vector<std::int64_t>&, std::vector<std::int64_t>);
template TensorView tensor_view(const std::vector<std::int32_t>&, std::vector<std::int64_t>);
template TensorView tensor_view(const std::vector<std::int16_t>&, std::vector<std::int64_t>);
template TensorView tensor_view(const std::vector<std::int8_t>&, std::vector<std::int64_t>);
template TensorView tensor_view(const std::vector<std::uint8_t>&, std::vector<std::int64_t>);

struct SafetensorsFile::Mapping {
  std::string name;
  std::span<const std::byte> bytes;
  void* address = nullptr;  // of the memory map, if this object owns one
  std::map<std::string, TensorView> tensors;
  std::map<std::string, std::string> other_types;  // of tensors that are not to be read
  std::map<std::string, std::string> metadata;

  ~Mapping() {
    if (address != nullptr) ::munmap(address, bytes.size());
  }

  // Of the data: first, last, of whom.
  using Stretches = std::map<std::uint64_t, std::pair<std::uint64_t, std::string>>;
  void parse();
  void parse_tensor(const std::string& key, const nlohmann::json& entry, std::span<const std::byte> data,
                    Stretches& stretches);
};

void SafetensorsFile::Mapping::parse() {
  if (bytes.size() < 8)
    fail(ErrorKind::input, "reading '", name, "': ", bytes.size(),
         " bytes are too few for a safetensors file");
  std::uint64_t header_length = 0;
  std::memcpy(&header_length, bytes.data(), 8);
  if (header_length > kHeaderLimit || header_length > bytes.size() - 8) {
    fail(ErrorKind::input, "reading '", name, "': the header claims ", header_length,
         " bytes but the file has ", bytes.size(), ". It is truncated or not a safetensors file");
  }
  const nlohmann::json header =
      parse_json_or_discard({reinterpret_cast<const char*>(bytes.data()) + 8, header_length});
  if (!header.is_object())
    fail(ErrorKind::input, "reading '", name, "': the safetensors header is not a JSON object");
  const std::span<const std::byte> data = bytes.subspan(8 + header_length);
  Stretches stretches;
  for (const auto& [key, entry] : header.items()) {
    if (key != "__metadata__") {
      parse_tensor(key, entry, data, stretches);
      continue;
    }
    if (!entry.is_object()) fail(ErrorKind::input, "reading '", name, "': __metadata__ is not an object");
    for (const auto& [meta_key, value] : entry.items()) {
      if (!value.is_string())
        fail(ErrorKind::input, "reading '", name, "': metadata '", meta_key, "' is not a text");
      metadata[meta_key] = value.get<std::string>();
    }
  }
}

void SafetensorsFile::Mapping::parse_tensor(const std::string& key, const nlohmann::json& entry,
                                            std::span<const std::byte> data, Stretches& stretches) {
  const auto broken = [&](std::string_view what) {
    fail(ErrorKind::input, "reading '", name, "': tensor '", key, "' ", what,
         ". The file is damaged or not a safetensors file");
  };
  if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    broken("lacks dtype, shape or data_offsets");
  }
  const auto& dtype = entry["dtype"];
  const auto& shape = entry["shape"];
  const auto& offsets = entry["data_offsets"];
  if (!dtype.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2 ||
      !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    broken("has a malformed description");
  }
  TensorView view;
  const StoredType type = parse_type(dtype.get<std::string>(), name, key);
  std::uint64_t count = 1;
  for (const auto& side : shape) {
    if (!side.is_number_unsigned()) broken("has a shape that is not made of whole numbers");
    const std::uint64_t value = side.get<std::uint64_t>();
    if (value > (std::uint64_t{1} << 48) || __builtin_mul_overflow(count, value, &count) ||
        count > (std::uint64_t{1} << 48)) {
      broken("has an impossible shape");
    }
    view.shape.push_back(static_cast<std::int64_t>(value));
  }
  const std::uint64_t first = offsets[0].get<std::uint64_t>();
  const std::uint64_t last = offsets[1].get<std::uint64_t>();
  if (first > last || last > data.size()) broken("reaches outside the file");
  if (last - first != (count * type.bits + 7) / 8) broken("has a shape that does not fit its bytes");
  if (first < last) {
    const auto after = stretches.lower_bound(first);
    if (after != stretches.end() && after->first < last) broken("lies over '" + after->second.second + "'");
    if (after != stretches.begin() && std::prev(after)->second.first > first)
      broken("lies over '" + std::prev(after)->second.second + "'");
    stretches.emplace(first, std::pair(last, key));
  }
  if (!type.dtype) {
    other_types.emplace(key, dtype.get<std::string>());
    return;
  }
  view.dtype = *type.dtype;
  view.bytes = data.subspan(first, last - first);
  tensors.emplace(key, std::move(view));
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : mapping_(std::make_unique<Mapping>()) {
  mapping_->name = path.string();
  const auto fail_with = [&](int error) {
    fail(ErrorKind::io, "cannot open '", path.string(), "': ", std::generic_category().message(error),
         ". Check the path");
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail_with(errno);
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    const int error = S_ISDIR(status.st_mode) ? EISDIR : (errno != 0 ? errno : EINVAL);
    ::close(fd);
    fail_with(error);
  }
  if (status.st_size > 0) {
    void* address = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    ::close(fd);
    if (address == MAP_FAILED) fail_with(error);
    mapping_->address = address;
    mapping_->bytes = {static_cast<const std::byte*>(address), static_cast<std::size_t>(status.st_size)};
  } else {
    ::close(fd);
  }
  mapping_->parse();
}

SafetensorsFile::SafetensorsFile(std::span<const std::byte> bytes, std::string name)
    : mapping_(std::make_unique<Mapping>()) {
  mapping_->name = std::move(name);
  mapping_->bytes = bytes;
  mapping_->parse();
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const std::string& SafetensorsFile::name() const { return mapping_->name; }
const std::map<std::string, TensorView>& SafetensorsFile::tensors() const { return mapping_->tensors; }
const std::map<std::string, std::string>& SafetensorsFile::other_types() const {
  return mapping_->other_types;
}
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return mapping_->metadata; }
bool SafetensorsFile::contains(const std::string& tensor) const { return mapping_->tensors.contains(tensor); }

const TensorView& SafetensorsFile::at(const std::string& tensor) const {
  const auto found = mapping_->tensors.find(tensor);
  if (found != mapping_->tensors.end()) return found->second;
  if (const auto other = mapping_->other_types.find(tensor); other != mapping_->other_types.end())
    fail(ErrorKind::input, "reading '", name(), "': the tensor '", tensor, "' has the type ", other->second,
         ", with which nothing here computes");
  fail(ErrorKind::input, "reading '", name(), "': the tensor '", tensor, "' is missing");
}

namespace {

std::string head_of(std::span<const NamedTensorView> tensors,
                    const std::map<std::string, std::string>& metadata) {
  std::vector<TensorDescription> descriptions;
  for (const NamedTensorView& tensor : tensors) {
    descriptions.push_back({tensor.name, tensor.view.dtype, tensor.view.shape});
    ensure(tensor.view.bytes.size() == descriptions.back().byte_count(), "tensor '", tensor.name,
           "' has a shape that does not fit its bytes");
  }
  return safetensors_head(descriptions, metadata);
}

}  // namespace

std::uint64_t TensorDescription::byte_count() const {
  return static_cast<std::uint64_t>(TensorView{dtype, shape, {}}.element_count()) * dtype_size(dtype);
}

std::string safetensors_head(std::span<const TensorDescription> tensors,
                             const std::map<std::string, std::string>& metadata, std::size_t alignment) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const TensorDescription& tensor : tensors) {
    ensure(!header.contains(tensor.name), "tensor '", tensor.name, "' is given twice");
    const std::uint64_t end = offset + tensor.byte_count();
    header[tensor.name] = {
        {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  // Throws for names and metadata that are not UTF-8: replaced bytes would name another tensor.
  std::string text = header.dump();
  const std::uint64_t behind_last = (sizeof(std::uint64_t) + text.size()) % alignment;
  text.append((alignment - behind_last) % alignment, ' ');
  const std::uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensorView> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string head = head_of(tensors, metadata);
  AtomicFile file(path);
  file.write(head);
  for (const NamedTensorView& tensor : tensors) file.write(tensor.view.bytes);
  file.commit();
}

std::uint64_t hash_safetensors(std::span<const NamedTensorView> tensors,
                               const std::map<std::string, std::string>& metadata) {
  StreamHash hash;
  hash.add(head_of(tensors, metadata));
  for (const NamedTensorView& tensor : tensors) hash.add(tensor.view.bytes);
  return hash.value();
}

}  // namespace omni
