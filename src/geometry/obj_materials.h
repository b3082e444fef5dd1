#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "read_mtl.h"
#include "texture.h"
#include "texture_files.h"

namespace omni::geometry {

// A material as OBJ's faces use it.
struct ObjMaterial {
  Vec3 linear_factor{1, 1, 1};    // where no texture shows
  Texture texture;                // without a picture where there is none
  Vec3 scale{1, 1, 1}, offset{};  // of its coordinates, v upwards
};

// The materials of the files that "mtllib" names. Colours are taken as sRGB, as most programs show them;
// where there is a texture, it alone counts, since exporters disagree on what its factor is. What gives no
// diffuse colour shows what it emits, and else is white.
class ObjMaterials {
 public:
  ObjMaterials(std::string name, std::filesystem::path folder, ReadNotes& notes)
      : name_(std::move(name)), folder_(std::move(folder)), notes_(notes), textures_(folder_, name_, notes) {}

  // One name, which may hold blanks, or several names. What cannot be read is noted.
  void load(std::string_view references);
  // Null where no file describes it.
  const ObjMaterial* find(std::string_view material) const;

 private:
  bool load_file(const std::string& reference, bool note_failure);
  // With what stands before a comment, where no file has the whole name.
  TextureFiles::Picture picture_of(const MtlMap& map, const std::filesystem::path& within);
  void add(const MtlMaterial& source, const std::filesystem::path& within);

  std::string name_;
  std::filesystem::path folder_;
  ReadNotes& notes_;
  TextureFiles textures_;
  std::map<std::string, ObjMaterial, std::less<>> materials_;
  std::map<std::string, std::string, std::less<>> without_comment_;  // to the names in materials_
  std::set<std::string, std::less<>> loaded_lines_;
  std::set<std::filesystem::path> loaded_files_;
};

}  // namespace omni::geometry
