#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "omni/geometry/mesh.h"
#include "omni/image/image.h"

namespace omni::evaluation {

// The pictures and meshes that a sweep keeps of its samples.
class SampleFiles {
 public:
  static constexpr int kStripViews = 4;

  // Files go to <output>/samples.
  SampleFiles(std::filesystem::path output, int picture_pixels)
      : output_(std::move(output)), pixels_(picture_pixels) {}

  // Four sides of a mesh in one strip; the file's name relative to the output folder.
  std::string save_strip(const std::string& name, const geometry::Mesh& mesh) const;
  std::string save_pictures(const std::string& name, std::span<const image::Image> pictures) const;
  std::string save_mesh(const std::string& name, const geometry::Mesh& mesh) const;

 private:
  std::filesystem::path path_of(const std::string& name, const char* extension) const;

  std::filesystem::path output_;
  int pixels_;
};

}  // namespace omni::evaluation
