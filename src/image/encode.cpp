#include <algorithm>

#include "codecs.h"
#include "omni/core/error.h"
#include "omni/core/files.h"

namespace omni::image {
namespace {

using Encode = std::vector<std::byte> (*)(const Image&);

struct Format {
  std::string_view ending;
  Encode encode;
};
constexpr Format kFormats[] = {
    {".png", encode_png}, {".jpg", encode_jpeg}, {".jpeg", encode_jpeg}, {".webp", encode_webp}};

const Format* find_format(const std::filesystem::path& path) {
  const std::string ending = lower_extension(path);
  const auto* found = std::find_if(std::begin(kFormats), std::end(kFormats),
                                   [&](const Format& format) { return format.ending == ending; });
  return found == std::end(kFormats) ? nullptr : found;
}

}  // namespace

bool is_image_file(const std::filesystem::path& path) { return find_format(path) != nullptr; }

void require_image_file(const std::filesystem::path& path) {
  if (is_image_file(path)) return;
  fail(ErrorKind::usage, "cannot write the picture ", path, ": the ending \"", path.extension().string(),
       "\" is not known. Use .png, .jpg or .webp");
}

std::vector<std::byte> encode_image(const Image& image, const std::filesystem::path& path) {
  require_image_file(path);
  if (image.width <= 0 || image.height <= 0)
    fail(ErrorKind::input, "cannot write the picture ", path, ": it has no pixels");
  ensure(image.pixels.size() == std::size_t(image.width) * image.height * image.channels,
         "an image's pixel count disagrees with its size");
  return find_format(path)->encode(image);
}

void write_image(const std::filesystem::path& path, const Image& image) {
  const std::vector<std::byte> bytes = encode_image(image, path);
  write_file_atomically(path, std::span<const std::byte>(bytes));
}

}  // namespace omni::image
