#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <jpeglib.h>

#include "omni/image/image.h"

namespace omni::image {

struct JpegManner {
  int quality = 95;
  bool progressive = false;
  bool cmyk = false;   // of four channels
  bool adobe = false;  // its marker, where it is CMYK
};

// By the library itself, in manners that our writer does not know.
inline std::vector<std::byte> encode_jpeg(const Image& image, const JpegManner& manner = {}) {
  jpeg_compress_struct state{};
  jpeg_error_mgr errors{};
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&state, &memory, &size);
  state.image_width = unsigned(image.width);
  state.image_height = unsigned(image.height);
  state.input_components = image.channels;
  state.in_color_space = manner.cmyk ? JCS_CMYK : image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, manner.quality, TRUE);
  if (manner.progressive) jpeg_simple_progression(&state);
  if (manner.cmyk) state.write_Adobe_marker = manner.adobe ? TRUE : FALSE;
  jpeg_start_compress(&state, TRUE);
  for (int y = 0; y < image.height; ++y) {
    JSAMPROW row = const_cast<std::uint8_t*>(image.at(0, y));
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  jpeg_destroy_compress(&state);
  std::vector<std::byte> bytes(size);
  std::memcpy(bytes.data(), memory, size);
  std::free(memory);
  return bytes;
}

}  // namespace omni::image
