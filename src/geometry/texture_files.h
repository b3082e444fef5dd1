#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "omni/image/texture_image.h"
#include "read_notes.h"

namespace omni::geometry {

inline constexpr const char* kWithoutTextures = "is read without textures";

// Bounds the pixels that the pictures of one mesh come to together, since a small file may name many large
// ones.
class PixelBudget {
 public:
  // What decode() returns. Throws Error(input), which names the mesh, where that or one before is too much.
  template <class Decode>
  std::shared_ptr<const image::Image> spend(const std::string& name, const Decode& decode) {
    check(name);
    auto picture = std::make_shared<const image::Image>(decode());
    pixels_ += std::int64_t(picture->width) * picture->height;
    check(name);
    return picture;
  }

 private:
  void check(const std::string& name) const;

  std::int64_t pixels_ = 0;
};

// The pictures that a mesh names, each read once. What cannot be found or read is noted, and null.
class TextureFiles {
 public:
  using Picture = std::shared_ptr<const image::Image>;

  TextureFiles(std::filesystem::path folder, std::string name, ReadNotes& notes)
      : folder_(std::move(folder)), name_(std::move(name)), notes_(notes) {}

  // `within`: below the mesh's folder, where the file that names the picture lies.
  Picture read(const std::string& reference, const std::filesystem::path& within = {});
  // Whether there is such a file.
  bool has(const std::string& reference, const std::filesystem::path& within) const;

 private:
  std::filesystem::path folder_;
  std::string name_;
  ReadNotes& notes_;
  PixelBudget budget_;
  std::map<std::pair<std::string, std::filesystem::path>, Picture> pictures_;  // by reference
  std::map<std::filesystem::path, Picture> files_;
};

}  // namespace omni::geometry
