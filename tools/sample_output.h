#pragma once

#include <string>
#include <vector>

#include "omni/generation/make_samples.h"
#include "result_file.h"
#include "sample_arguments.h"

namespace omni::tools {

// The side of a view of a mesh in a picture that shows several.
inline constexpr int kPreviewPixels = 192;

// The longest side of a shape's mesh: as its model says, else of the mesh as it is.
float longest_side_m(const generation::GeneratedShape& shape);

// Where `omni sample` puts what it made: files by extension, numbered where there are several.
// Writes samples as they come: what is finished stays after Ctrl-C, and memory grows with their number for
// the preview alone.
class SampleOutput {
 public:
  // Throws Error(usage) for files that do not fit what the task makes, Error(io) for folders that cannot be
  // written to; before any work.
  SampleOutput(const SampleArguments& arguments, const sequence::Task& task);

  // Whether any of the files needs a mesh.
  bool wants_meshes() const;
  // A sample without a surface is told of and passed over.
  void write(const generation::GeneratedSample& sample);
  // How many of the samples are written, and where: "2 of 3 samples are written: chair_0.glb, chair_1.glb".
  std::string told_of_written() const;
  // Of all that is written.
  void write_preview() const;
  // The preview of all. Throws Error(input) where a sample had no surface.
  void finish() const;

 private:
  void write_codes(const generation::GeneratedSample& sample) const;
  void write_texts(const generation::GeneratedSample& sample, const ResultFile& file) const;
  // Whether there is a surface.
  bool write_shape(const generation::GeneratedSample& sample, const ResultFile& file);
  // Whether the file of some sample is at that path.
  bool writes(const ResultFile& file, const std::filesystem::path& path) const;
  // The first of the files that the sample alone is in.
  std::string main_place(const generation::GeneratedSample& sample) const;
  // Refuses two files at one path, and those that are read.
  void check_paths(const SampleArguments& arguments) const;
  ResultFile file_of(const ResultFile& file, const generation::GeneratedSample& sample) const;

  ResultFile out_, preview_, turntable_, codes_;  // without an `out` texts go to standard output
  std::int64_t count_ = 1, written_ = 0;
  std::vector<std::string> places_;  // of the first of them
  std::vector<image::Image> pictures_;
  std::string failure_;
};

}  // namespace omni::tools
