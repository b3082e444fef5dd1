#include "document_program.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::generation {
namespace {

bool is_guided(const DocumentRequest& request) {
  return std::any_of(request.guidance.begin(), request.guidance.end(),
                     [](double weight) { return weight != 1; });
}

std::int64_t positions(const DocumentRequest& request, const model::Transformer& model) {
  std::vector<sequence::Modality> modalities;
  for (const SegmentRequest& segment : request.segments) modalities.push_back(segment.modality);
  return sequence::SegmentParts(model.vocabulary(), model.layout()).document_capacity(modalities);
}

}  // namespace

std::int64_t document_row_count(const DocumentRequest& request) {
  kernels::validate(request.sampling);
  const std::int64_t conditions = shown_condition_count(request.segments);
  const auto weights = static_cast<std::int64_t>(request.guidance.size());
  if (weights != 0 && weights != conditions) {
    fail(ErrorKind::usage, "setting guidance: ", weights, " weights are given for ", conditions,
         " conditions. Give one per condition.");
  }
  return is_guided(request) ? weights + 1 : 1;
}

DocumentProgram::DocumentProgram(const model::Transformer& model, const DocumentRequest& request,
                                 std::uint64_t number)
    : model_(&model),
      request_(&request),
      number_(number),
      capacity_(positions(request, model)),
      choice_bound_(sampled_token_bound(request, model.vocabulary(), model.layout())) {
  const std::int64_t conditions = shown_condition_count(request.segments);
  for (std::int64_t kept = conditions + 1 - document_row_count(request); kept <= conditions; ++kept)
    rows_.emplace_back(model.vocabulary(), model.layout(), request.segments, kept);
  if (rows_.size() > 1) weights_.resize(request.guidance.size());
  advance();
}

void DocumentProgram::advance() {
  for (DocumentRow& row : rows_) finished_ = !row.advance_to_choice();
  for (std::size_t i = 0; i < weights_.size(); ++i)
    weights_[i] = scheduled_weight(request_->schedule, request_->guidance[i], choices_, choice_bound_);
}

TokenChoice DocumentProgram::choice() const {
  return {.allowed = sampled().choices(),
          .guidance = weights_,
          .sampling = &request_->sampling,
          .key = {.seed = request_->seed, .sequence = number_, .step = sampled().tokens().size()}};
}

void DocumentProgram::choose(std::int32_t token) {
  for (DocumentRow& row : rows_) row.choose(token);
  ++choices_;
  advance();
}

sequence::Document DocumentProgram::document() const {
  return sequence::parse_document(sampled().tokens(), sampled().plan(), model_->vocabulary(),
                                  model_->layout());
}

}  // namespace omni::generation
