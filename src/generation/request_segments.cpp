#include "request_segments.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::generation {
namespace {

using sequence::Modality;
using sequence::Segment;

sequence::ShapePayload shape_payload(const ShapeCondition& shape, const tokenizers::ShapeCodes& codes) {
  sequence::ShapePayload payload;
  payload.geometry = codes.geometry;
  payload.colour = codes.colour;
  if (shape.longest_side_m) payload.size = sequence::size_bin(*shape.longest_side_m);
  if (shape.extent) {
    const float longest = std::max({shape.extent->x, shape.extent->y, shape.extent->z});
    for (std::size_t axis = 0; axis < 3; ++axis) {
      payload.box[axis] = sequence::box_bin((*shape.extent)[axis] / longest);
    }
  }
  return payload;
}

// The conditions of all requests, encoded in one go per modality, and taken in order.
class EncodedConditions {
 public:
  EncodedConditions(std::span<const GenerationRequest> requests, const model::Bundle& bundle)
      : bundle_(bundle) {
    encode_images(requests);
    encode_shapes(requests);
  }

  Segment take_text(const std::string& prompt) const {
    return {.payload = sequence::TextPayload{bundle_.tokenizers.text()->encode(prompt)}};
  }

  Segment take_image(const ImageCondition& image) {
    sequence::ImagePayload payload{.azimuth = {}, .elevation = {}, .codes = image_codes_[next_image_++]};
    if (image.view) {
      payload.azimuth = azimuth_bin(*image.view);
      payload.elevation = elevation_bin(*image.view);
    }
    return {.payload = std::move(payload)};
  }

  Segment take_shape(const ShapeCondition& shape) {
    return {.payload = shape_payload(shape, shape.sample ? shape_codes_[next_shape_++] : shape.codes)};
  }

 private:
  void encode_images(std::span<const GenerationRequest> requests) {
    std::vector<image::Image> images;
    for (const GenerationRequest& request : requests) {
      for (const ImageCondition& image : request.images) images.push_back(image.image);
    }
    if (!images.empty()) image_codes_ = bundle_.tokenizers.image()->encode(images);
  }

  void encode_shapes(std::span<const GenerationRequest> requests) {
    std::vector<tokenizers::ShapeSample> samples;
    for (const GenerationRequest& request : requests) {
      for (const ShapeCondition& shape : request.shapes) {
        if (shape.sample) samples.push_back(*shape.sample);
      }
    }
    if (!samples.empty()) shape_codes_ = bundle_.tokenizers.shape()->encode(samples);
  }

  const model::Bundle& bundle_;
  std::vector<std::vector<std::int32_t>> image_codes_;
  std::vector<tokenizers::ShapeCodes> shape_codes_;
  std::size_t next_image_ = 0, next_shape_ = 0;
};

SegmentRequest generated_segment(const sequence::TaskSegment& segment, const GenerationRequest& request,
                                 const model::Bundle& bundle) {
  SegmentRequest generated{.modality = segment.modality, .given = {}, .fixed_tokens = {}};
  if (segment.modality == Modality::shape) {
    const std::vector<std::int64_t>& lengths = bundle.layout().geometry_lengths;
    generated.geometry_length = request.geometry_codes > 0 ? request.geometry_codes : lengths.back();
    generated.with_colour = request.with_colour;
  }
  if (segment.modality != Modality::image) return generated;
  const sequence::Vocabulary& vocabulary = bundle.vocabulary();
  const sequence::SegmentParts parts(vocabulary, bundle.layout());
  const auto fix = [&](std::string_view range, const std::optional<std::int32_t>& bin) {
    generated.fixed_tokens.emplace_back(parts.slot_of(segment.modality, range),
                                        bin ? vocabulary.range(range).first + *bin : sequence::kAny);
  };
  if (!segment.view) {
    fix(sequence::kRangeAzimuth, {});
    fix(sequence::kRangeElevation, {});
  } else if (request.view) {
    fix(sequence::kRangeAzimuth, azimuth_bin(*request.view));
    fix(sequence::kRangeElevation, elevation_bin(*request.view));
  }
  return generated;
}

std::vector<SegmentRequest> encode_request(const GenerationRequest& request, const model::Bundle& bundle,
                                           EncodedConditions& conditions) {
  std::vector<SegmentRequest> segments;
  std::size_t text = 0, image = 0, shape = 0;
  for (const sequence::TaskSegment& segment : request.task.segments) {
    if (segment.loss) {
      segments.push_back(generated_segment(segment, request, bundle));
      continue;
    }
    Segment given{.payload = sequence::empty_payload(segment.modality), .dropped = true};
    if (segment.modality == Modality::text && text < request.prompts.size()) {
      given = conditions.take_text(request.prompts[text++]);
    } else if (segment.modality == Modality::image && image < request.images.size()) {
      given = conditions.take_image(request.images[image++]);
    } else if (segment.modality == Modality::shape && shape < request.shapes.size()) {
      given = conditions.take_shape(request.shapes[shape++]);
    }
    segments.push_back({.modality = segment.modality, .given = std::move(given), .fixed_tokens = {}});
  }
  return segments;
}

}  // namespace

std::vector<std::vector<SegmentRequest>> encode_requests(std::span<const GenerationRequest> requests,
                                                         const model::Bundle& bundle) {
  EncodedConditions conditions(requests, bundle);
  std::vector<std::vector<SegmentRequest>> encoded;
  for (const GenerationRequest& request : requests) {
    encoded.push_back(encode_request(request, bundle, conditions));
  }
  return encoded;
}

}  // namespace omni::generation
