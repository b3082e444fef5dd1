#include <array>

#include "omni/core/error.h"
#include "omni/data/object_source.h"

namespace omni::data {
namespace {

constexpr std::array<std::string_view, kCaptionKinds> kNames = {"partial", "complete", "brief", "reworded"};

}  // namespace

std::string_view caption_kind_name(CaptionKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

CaptionKind parse_caption_kind(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<CaptionKind>(i);
  fail(ErrorKind::usage, "reading the kind of a caption: \"", name,
       "\" is none of partial, complete, brief and reworded.");
}

}  // namespace omni::data
