#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gltf_compression.h"
#include "omni/core/error.h"
#include "read_notes.h"
#include "texture.h"
#include "texture_files.h"

namespace omni::geometry {

// A glTF 2.0 document: its JSON, and the buffers and images that this refers to. Nothing in it is believed:
// every index, offset, stride and count is checked against what is really there. All failures are
// Error(input) naming the file. Buffers and images are loaded when first asked for and kept.
class GltfDocument {
 public:
  using Json = nlohmann::json;

  // `bytes` (GLB or JSON text) and `notes` must outlive the document.
  GltfDocument(std::span<const std::byte> bytes, std::string name, std::filesystem::path folder,
               ReadNotes& notes);

  const Json& json() const { return json_; }
  const std::string& name() const { return name_; }
  // Of the document and of the buffers that have been loaded so far: what a reader may be asked to allocate
  // is measured by it.
  std::size_t byte_count() const { return byte_count_; }
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(ErrorKind::input, "cannot read mesh ", name_, ": ", parts..., ". The file is broken or truncated.");
  }

  // Element `index` of the top-level array `section`; refuses if there is none.
  const Json& item(const char* section, std::int64_t index) const;
  std::size_t count(const char* section) const;

  std::size_t element_count(std::int64_t accessor) const;

  // Components of an accessor, row by row, as floats; normalised integers become 0 .. 1 or -1 .. 1.
  // `components` receives how many belong to one element.
  std::vector<float> read_floats(std::int64_t accessor, int& components);
  std::vector<std::uint32_t> read_indices(std::int64_t accessor);

  // Null, with a note, where the picture is missing or in an unknown format.
  std::shared_ptr<const image::Image> image(std::int64_t index);

  // What KHR_draco_mesh_compression says of a primitive of this document; null where it is not compressed, or
  // also there uncompressed.
  const DracoMesh* draco_mesh(const Json& primitive);
  ReadNotes& notes() { return notes_; }

 private:
  struct AccessorLayout;

  void split_glb(std::span<const std::byte> bytes);
  void parse(std::span<const std::byte> text);
  std::span<const std::byte> buffer(std::int64_t index);
  std::span<const std::byte> range(const Json& json, const std::string& what);
  std::span<const std::byte> view(std::int64_t index, std::size_t& stride);
  void decode_views();
  void decode_draco_primitives();
  void normalise_as_accessors(const Json& primitive, DracoMesh& mesh) const;
  // What an accessor's integers are multiplied by; 1 where they stand for themselves.
  float normalised_scale(std::int64_t accessor) const;
  bool has_plain_data(const Json& primitive) const;
  std::shared_ptr<const image::Image> load_image(const Json& json, std::int64_t index);
  std::vector<std::byte> load_uri(const std::string& uri, const char* what) const;
  AccessorLayout layout_of(std::int64_t accessor) const;
  template <class Convert>
  void read_elements(const AccessorLayout& layout, const Convert& convert);
  template <class Convert>
  void apply_sparse(const AccessorLayout& layout, const Convert& convert);

  std::string name_;
  std::filesystem::path folder_;
  ReadNotes& notes_;
  Json json_;
  std::size_t byte_count_;
  std::span<const std::byte> binary_chunk_;
  bool has_binary_chunk_ = false;
  std::vector<std::optional<std::vector<std::byte>>> buffers_;
  std::vector<std::optional<std::shared_ptr<const image::Image>>> images_;
  PixelBudget pixels_;
  std::map<std::string, std::shared_ptr<const image::Image>> pictures_;  // by path or buffer view
  // Of buffer views that are compressed: where in decoded_ each is. Views of the same bytes share one.
  std::map<std::int64_t, std::size_t> decoded_of_;
  std::vector<std::vector<std::byte>> decoded_;
  std::map<const Json*, DracoMesh> draco_;  // per primitive
};

// Reads of optional JSON members; a member of the wrong type is an Error(input).
std::int64_t json_integer(const nlohmann::json& object, const char* key, std::int64_t fallback,
                          const std::string& name);
double json_number(const nlohmann::json& object, const char* key, double fallback, const std::string& name);
std::string json_string(const nlohmann::json& object, const char* key, const std::string& name);
// True, filling `values`, if the member is there; it must then hold exactly `count` finite numbers.
bool json_numbers(const nlohmann::json& object, const char* key, double* values, std::size_t count,
                  const std::string& name);
// Of an array of any length; empty where the member is missing.
std::vector<double> json_number_list(const nlohmann::json& object, const char* key, const std::string& name);
// Null where the member is missing.
const nlohmann::json* json_member(const nlohmann::json& object, const char* key);

}  // namespace omni::geometry
