#include "obj_materials.h"

#include "linear_colour.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "references.h"
#include "text_scanner.h"

namespace omni::geometry {
namespace {

namespace fs = std::filesystem;

bool gives_light(const std::optional<Vec3>& colour) {
  return colour && (colour->x > 0 || colour->y > 0 || colour->z > 0);
}

// What a name could be besides its whole line: what comes before a comment.
std::string_view before_comment(std::string_view name) { return mtl_name(name.substr(0, name.find('#'))); }

}  // namespace

void ObjMaterials::load(std::string_view references) {
  const std::string_view whole = mtl_name(references), plain = before_comment(references);
  if (folder_.empty() || whole.empty()) return;
  // Files may repeat the same line before every group.
  if (!loaded_lines_.emplace(whole).second) return;
  const bool several = plain.find_first_of(" \t") != std::string_view::npos;
  if (load_file(std::string(whole), /*note_failure=*/!several && plain == whole)) return;
  if (plain != whole && load_file(std::string(plain), /*note_failure=*/!several)) return;
  if (!several) return;
  std::string_view rest = plain;
  for (std::string_view word = next_word(rest); !word.empty(); word = next_word(rest))
    load_file(std::string(mtl_name(word)), /*note_failure=*/true);
}

bool ObjMaterials::load_file(const std::string& reference, bool note_failure) {
  if (reference.empty()) return false;
  try {
    const fs::path path = find_optional_file(reference, folder_, {}, name_);
    if (!loaded_files_.insert(path).second) return true;
    const std::string bytes = read_file_text(path);
    std::string converted;
    const std::string_view text = marked_text(bytes, path.string(), converted);
    const fs::path within = path.parent_path().lexically_relative(fs::weakly_canonical(folder_));
    for (const MtlMaterial& material : parse_mtl(text, notes_)) add(material, within);
    return true;
  } catch (const Error& error) {
    if (note_failure) notes_.add("is read without its materials", error.what());
    return false;
  }
}

const ObjMaterial* ObjMaterials::find(std::string_view material) const {
  auto at = materials_.find(material);
  if (at == materials_.end()) at = materials_.find(before_comment(material));
  if (at != materials_.end()) return &at->second;
  const auto named = without_comment_.find(before_comment(material));
  return named == without_comment_.end() ? nullptr : &materials_.find(named->second)->second;
}

TextureFiles::Picture ObjMaterials::picture_of(const MtlMap& map, const fs::path& within) {
  const std::string plain(before_comment(map.file));
  const bool commented = !plain.empty() && plain != map.file && !textures_.has(map.file, within);
  return textures_.read(commented ? plain : map.file, within);
}

void ObjMaterials::add(const MtlMaterial& source, const fs::path& within) {
  const bool glows = gives_light(source.emission) || source.emission_map;
  const bool emits_alone = glows && !source.diffuse_map && !gives_light(source.diffuse);
  const std::optional<MtlMap>& map = emits_alone ? source.emission_map : source.diffuse_map;
  ObjMaterial material;
  if (const auto& colour = emits_alone ? source.emission : source.diffuse)
    material.linear_factor = to_linear(*colour);
  if (map) material.texture.image = picture_of(*map, within);
  if (material.texture.image) {
    material.scale = map->scale;
    material.offset = map->offset;
    if (map->clamp) material.texture.wrap_u = material.texture.wrap_v = TextureWrap::clamp_to_edge;
  }
  materials_.insert_or_assign(source.name, std::move(material));
  if (const std::string_view plain = before_comment(source.name); !plain.empty() && plain != source.name)
    without_comment_.try_emplace(std::string(plain), source.name);
}

}  // namespace omni::geometry
