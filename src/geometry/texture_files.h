#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "omni/image/texture_image.h"
#include "read_notes.h"

namespace omni::geometry {

inline constexpr const char* kWithoutTextures = "is read without textures";

// The pictures that a mesh names, each read once. What cannot be found or read is noted, and null.
class TextureFiles {
 public:
  using Picture = std::shared_ptr<const image::Image>;

  TextureFiles(std::filesystem::path folder, std::string name, ReadNotes& notes)
      : folder_(std::move(folder)), name_(std::move(name)), notes_(notes) {}

  // `within`: below the mesh's folder, where the file that names the picture lies.
  Picture read(const std::string& reference, const std::filesystem::path& within = {});

 private:
  std::filesystem::path folder_;
  std::string name_;
  ReadNotes& notes_;
  std::map<std::pair<std::string, std::filesystem::path>, Picture> pictures_;
};

}  // namespace omni::geometry
