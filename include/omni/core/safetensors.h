#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

enum class DType { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

std::size_t dtype_size(DType dtype);       // bytes of one element
std::string_view dtype_name(DType dtype);  // as in the file: "F32", "BF16", ...

// A tensor inside a safetensors file: row-major, little-endian; `bytes` belongs to whoever made the view,
// such as the SafetensorsFile, and is not owned.
struct TensorView {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  std::int64_t element_count() const;
  // Reads the elements as T; throws Error(input) unless the dtype matches T exactly.
  template <class T>
  std::vector<T> to_vector() const;
};

// A memory-mapped safetensors file. Every offset, shape and size is checked on opening, before any data is
// touched.
class SafetensorsFile {
 public:
  // Throws Error(io) if the file cannot be opened, Error(input) if it is not a well-formed safetensors file.
  explicit SafetensorsFile(const std::filesystem::path& path);
  // The same over bytes in memory, which must outlive this object; `name` appears in errors.
  SafetensorsFile(std::span<const std::byte> bytes, std::string name);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::string& name() const;
  const std::map<std::string, TensorView>& tensors() const;
  // Tensors of types that the format knows and nothing here computes with (unsigned of 16 bits and more, floating
  // point of 8 bits and fewer, complex), and the names of these types. Only asking for one is an error.
  const std::map<std::string, std::string>& other_types() const;
  const std::map<std::string, std::string>& metadata() const;
  bool contains(const std::string& tensor) const;  // in tensors()
  // Throws Error(input) naming file and tensor where it is missing or of such another type.
  const TensorView& at(const std::string& tensor) const;

 private:
  struct Mapping;
  std::unique_ptr<Mapping> mapping_;
};

struct NamedTensorView {
  std::string name;
  TensorView view;
};

struct TensorDescription {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;

  std::uint64_t byte_count() const;
};

// What stands before the bytes of these tensors, which follow one another, in a file whose first one lies at a
// multiple of `alignment`, a multiple of 8.
std::string safetensors_head(std::span<const TensorDescription> tensors,
                             const std::map<std::string, std::string>& metadata, std::size_t alignment = 8);

// Writes atomically: a temporary file beside `path`, flushed to disk, then renamed. Tensors are laid out in
// the order given; the header is padded with spaces to a multiple of 8 bytes. Throws Error(io).
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensorView> tensors,
                       const std::map<std::string, std::string>& metadata = {});
// The hash_file() of what write_safetensors would write.
std::uint64_t hash_safetensors(std::span<const NamedTensorView> tensors,
                               const std::map<std::string, std::string>& metadata = {});

// Wraps a vector's memory; the vector must outlive the view.
template <class T>
TensorView tensor_view(const std::vector<T>& values, std::vector<std::int64_t> shape);

}  // namespace omni
