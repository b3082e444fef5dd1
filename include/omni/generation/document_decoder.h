#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "omni/generation/drawn_choices.h"
#include "omni/generation/guidance_schedule.h"
#include "omni/kernels/tensor.h"
#include "omni/kernels/token_sampling.h"
#include "omni/model/decode_precision.h"
#include "omni/model/transformer.h"
#include "omni/sequence/document.h"

namespace omni::generation {

// One segment of a document that is to be completed.
struct SegmentRequest {
  sequence::Modality modality = sequence::Modality::text;
  // A condition: its payload, or {.dropped = true} without one. Absent: the segment is generated.
  std::optional<sequence::Segment> given;
  // Of a text that is a condition, what its tokens and its end are embedded from, [tokens + 1, width] on the CPU (see
  // model::DecodeToken); undefined: the tokens.
  at::Tensor features = {};
  // Generated segments: slot -> token (in the vocabulary's numbering), for what the caller fixes: controls, or
  // the codes that a shape or picture starts with.
  std::vector<std::pair<std::int32_t, std::int32_t>> fixed_tokens;
  std::int64_t geometry_length = 0;  // generated shapes: 0 leaves it to the model
  bool with_colour = true;           // generated shapes, where the layout has colour codes
};

// What samples are drawn from, and which of them. A sample is a pure function of this, of its number and of
// the model: what is decoded beside it changes it by rounding alone.
struct DocumentRequest {
  std::vector<SegmentRequest> segments;
  kernels::SamplingSettings sampling;
  // One weight per condition that is not dropped, in document order (see kernels::SamplingInput); empty:
  // plain conditional sampling, which is also what weights of 1 throughout give.
  std::vector<double> guidance;
  GuidanceSchedule schedule = GuidanceSchedule::constant;
  std::uint64_t seed = 0;
  std::uint64_t first_sample = 0;  // the samples are numbered from here
  std::int64_t count = 1;
};

struct DecodedDocument {
  std::size_t request = 0;  // index of its request
  std::uint64_t sample_number = 0;
  sequence::Document document;
  double log_probability = 0;  // of all that was sampled; see run_programs()
  double drawing_seconds = 0;  // its share of the batch's time, which is divided evenly
};

struct DecodeOptions {
  model::DecodePrecision precision;
  std::int64_t sequences_per_batch = 96;  // sequences decoded side by side, those for guidance included
  // Called after each step with the number of tokens that it sampled.
  std::function<void(std::int64_t)> on_tokens;
  DrawKeeper* keeper = nullptr;  // of what is drawn: with it, draws go on where they were. Not owned
};

// Completes documents token by token under the grammar, many side by side, and hands them on batch by batch:
// all samples of all requests, request by request. Guidance runs one more sequence per condition, in which
// that condition and the later ones are dropped; dropping moves no position, so all sequences of a document
// stay in step. Common prefixes are computed once. Throws Error(usage) for requests that do not fit the
// model, Error(interrupted) after Ctrl-C, once the documents of the batch in hand that are whole are handed on.
void decode_documents(const model::Transformer& model, std::span<const DocumentRequest> requests,
                      const DecodeOptions& options,
                      const std::function<void(std::span<DecodedDocument>)>& on_batch);

// How many tokens one sample of such a document leaves to sampling, at most.
std::int64_t sampled_token_bound(const DocumentRequest& request, const sequence::Vocabulary& vocabulary,
                                 const sequence::SequenceLayout& layout);

}  // namespace omni::generation
