#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <jerror.h>

#include "codecs.h"
#include "omni/core/error.h"

namespace omni::image {
namespace {

// libjpeg reports errors by a callback that must not return. We jump back over frames of libjpeg and of the
// small functions below alone, which hold nothing that needs a destructor.
struct Decoder {
  jpeg_decompress_struct state{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  bool created = false;
  bool cut_short = false;  // the file has no end marker

  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  ~Decoder() {
    if (created) jpeg_destroy_decompress(&state);
  }
};

Decoder& decoder_of(j_common_ptr common) { return *static_cast<Decoder*>(common->client_data); }

[[noreturn]] void on_error(j_common_ptr common) {
  Decoder& decoder = decoder_of(common);
  common->err->format_message(common, decoder.message);
  std::longjmp(decoder.escape, 1);
}

// Warnings (level -1) that cost no pixels: bytes that belong to nothing, headers with odd versions.
bool is_harmless(int message) {
  switch (message) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_JPEG_EOF:
      return true;
    default:
      return false;
  }
}

// The others are corrupt data that libjpeg papers over with grey; we would rather know.
void on_message(j_common_ptr common, int level) {
  if (level >= 0) return;
  if (common->err->msg_code == JWRN_JPEG_EOF) decoder_of(common).cut_short = true;
  if (!is_harmless(common->err->msg_code)) on_error(common);
}

// A small file can ask for thousands of passes over a large image.
void on_progress(j_common_ptr common) {
  constexpr int maximum_scans = 200;
  if (!common->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number <= maximum_scans) return;
  Decoder& decoder = decoder_of(common);
  std::snprintf(decoder.message, sizeof decoder.message, "more than %d scans", maximum_scans);
  std::longjmp(decoder.escape, 1);
}

bool read_header(Decoder& decoder, const unsigned char* bytes, unsigned long size) {
  decoder.state.err = jpeg_std_error(&decoder.errors);
  decoder.errors.error_exit = on_error;
  decoder.errors.emit_message = on_message;
  decoder.progress.progress_monitor = on_progress;
  decoder.state.client_data = &decoder;
  if (setjmp(decoder.escape)) return false;
  jpeg_create_decompress(&decoder.state);
  decoder.created = true;
  decoder.state.client_data = &decoder;
  decoder.state.progress = &decoder.progress;
  jpeg_mem_src(&decoder.state, bytes, size);
  jpeg_read_header(&decoder.state, TRUE);
  return true;
}

bool read_rows(Decoder& decoder, unsigned char* pixels, std::size_t row_bytes) {
  if (setjmp(decoder.escape)) return false;
  jpeg_start_decompress(&decoder.state);
  while (decoder.state.output_scanline < decoder.state.output_height) {
    JSAMPROW row = pixels + row_bytes * decoder.state.output_scanline;
    jpeg_read_scanlines(&decoder.state, &row, 1);
  }
  // All rows are there, whatever the file goes on with. Where the end marker is missing, pixels that end
  // early are warned of; but whole scans that refine a picture may be.
  if (decoder.cut_short && jpeg_has_multiple_scans(&decoder.state)) {
    std::snprintf(decoder.message, sizeof decoder.message, "it ends before its last scan");
    return false;
  }
  return true;
}

[[noreturn]] void refuse(const Decoder& decoder, const std::string& name) {
  fail(ErrorKind::input, "cannot read JPEG ", name, ": ", decoder.message,
       ". The file is broken or truncated.");
}

// Adobe's programs, which leave their marker, store 255 for no ink; others 0, as the format means it.
Image cmyk_to_rgb(const std::vector<std::uint8_t>& cmyk, int width, int height, bool inverted) {
  Image image(width, height, 3);
  for (std::size_t i = 0; i < std::size_t(width) * height; ++i) {
    const auto light = [&](int c) { return inverted ? cmyk[4 * i + c] : 255 - cmyk[4 * i + c]; };
    for (int c = 0; c < 3; ++c) image.pixels[3 * i + c] = std::uint8_t((light(c) * light(3) + 127) / 255);
  }
  return image;
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name) {
  Decoder decoder;
  if (!read_header(decoder, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()))
    refuse(decoder, name);
  // An 8 x 8 block of the first component takes at least one bit.
  check_size(decoder.state.image_width, decoder.state.image_height, bytes.size(), 64 * 8 * 4, name);
  const int width = int(decoder.state.image_width), height = int(decoder.state.image_height);
  const bool cmyk = decoder.state.num_components == 4;
  const bool grey = decoder.state.num_components == 1;
  decoder.state.out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
  if (cmyk) {
    std::vector<std::uint8_t> inks(std::size_t(width) * height * 4);
    const bool inverted = decoder.state.saw_Adobe_marker;
    if (!read_rows(decoder, inks.data(), std::size_t(width) * 4)) refuse(decoder, name);
    return cmyk_to_rgb(inks, width, height, inverted);
  }
  Image image(width, height, grey ? 1 : 3);
  if (!read_rows(decoder, image.pixels.data(), std::size_t(width) * image.channels)) refuse(decoder, name);
  return image;
}

}  // namespace omni::image
