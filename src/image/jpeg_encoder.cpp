#include <csetjmp>
#include <cstdio>
#include <cstdlib>

#include <jpeglib.h>

#include "codecs.h"
#include "omni/core/error.h"

namespace omni::image {
namespace {

constexpr int kQuality = 95;

// As in the decoder, we jump back over frames of libjpeg and of write_rows() alone.
struct Encoder {
  jpeg_compress_struct state{};
  jpeg_error_mgr errors{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  bool created = false;
  unsigned char* bytes = nullptr;  // libjpeg's own until jpeg_finish_compress()
  unsigned long size = 0;
  bool finished = false;

  Encoder() = default;
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  ~Encoder() {
    if (created) jpeg_destroy_compress(&state);
    if (finished) std::free(bytes);
  }
};

[[noreturn]] void on_error(j_common_ptr common) {
  Encoder& encoder = *static_cast<Encoder*>(common->client_data);
  common->err->format_message(common, encoder.message);
  std::longjmp(encoder.escape, 1);
}

bool write_rows(Encoder& encoder, const Image& image) {
  jpeg_compress_struct& state = encoder.state;
  state.err = jpeg_std_error(&encoder.errors);
  encoder.errors.error_exit = on_error;
  state.client_data = &encoder;
  if (setjmp(encoder.escape)) return false;
  jpeg_create_compress(&state);
  encoder.created = true;
  jpeg_mem_dest(&state, &encoder.bytes, &encoder.size);
  state.image_width = static_cast<JDIMENSION>(image.width);
  state.image_height = static_cast<JDIMENSION>(image.height);
  state.input_components = image.channels;
  state.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, kQuality, TRUE);
  state.comp_info[0].h_samp_factor = state.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&state, TRUE);
  const std::size_t row_bytes = std::size_t(image.width) * image.channels;
  while (state.next_scanline < state.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data() + row_bytes * state.next_scanline);
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  encoder.finished = true;
  return true;
}

}  // namespace

std::vector<std::byte> encode_jpeg(const Image& image) {
  if (image.width > JPEG_MAX_DIMENSION || image.height > JPEG_MAX_DIMENSION) {
    fail(ErrorKind::usage, "cannot write JPEG: ", image.width, " x ", image.height,
         " pixels do not fit into it (at most ", JPEG_MAX_DIMENSION, " a side). Use .png");
  }
  const Image opaque = image.channels == 4 ? to_rgb(image) : image;
  Encoder encoder;
  if (!write_rows(encoder, opaque)) fail(ErrorKind::io, "cannot write JPEG: ", encoder.message);
  const auto* bytes = reinterpret_cast<const std::byte*>(encoder.bytes);
  return {bytes, bytes + encoder.size};
}

}  // namespace omni::image
