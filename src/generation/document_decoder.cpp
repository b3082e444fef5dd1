#include "omni/generation/document_decoder.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "document_rows.h"
#include "omni/core/error.h"
#include "omni/core/interrupt.h"

namespace omni::generation {
namespace {

using sequence::AllowedTokens;
using sequence::Document;

bool is_guided(const DocumentRequest& request) {
  return std::any_of(request.guidance.begin(), request.guidance.end(),
                     [](double weight) { return weight != 1; });
}

std::int64_t row_count(const DocumentRequest& request) {
  return is_guided(request) ? static_cast<std::int64_t>(request.guidance.size()) + 1 : 1;
}

void check_request(const DocumentRequest& request) {
  kernels::validate(request.sampling);
  const std::int64_t conditions = shown_condition_count(request.segments);
  const auto weights = static_cast<std::int64_t>(request.guidance.size());
  if (weights != 0 && weights != conditions) {
    fail(ErrorKind::usage, "setting guidance: ", weights, " weights are given for ", conditions,
         " conditions. Give one per condition.");
  }
}

// One sample of a request.
struct Sample {
  const DocumentRequest* request = nullptr;
  std::uint64_t number = 0;
};

// The sequences of one document; the last row is the one that becomes the document.
struct Group {
  Sample sample;
  std::vector<DocumentRow> rows;
  std::int64_t first_sequence = 0;
  bool finished = false;
};

// A batch of groups that grow in one session.
class BatchDecoder {
 public:
  BatchDecoder(const model::Transformer& model, std::span<const Sample> samples);

  std::vector<Document> run(const DecodeOptions& options);

 private:
  std::int64_t sequence_count() const;
  std::int64_t capacity() const;
  void prefill(model::DecodeSession& session);
  std::int64_t sample_step(model::DecodeSession& session);
  void choose(Group& group, std::span<const std::vector<float>> logits);

  const model::Transformer& model_;
  std::vector<Group> groups_;
};

BatchDecoder::BatchDecoder(const model::Transformer& model, std::span<const Sample> samples) : model_(model) {
  groups_.reserve(samples.size());
  for (const Sample& sample : samples) {
    const DocumentRequest& request = *sample.request;
    Group group;
    group.sample = sample;
    group.first_sequence = sequence_count();
    const std::int64_t conditions = shown_condition_count(request.segments);
    for (std::int64_t kept = conditions + 1 - row_count(request); kept <= conditions; ++kept) {
      group.rows.emplace_back(model.vocabulary(), model.layout(), request.segments, kept);
    }
    groups_.push_back(std::move(group));
  }
}

std::int64_t BatchDecoder::sequence_count() const {
  return groups_.empty()
             ? 0
             : groups_.back().first_sequence + static_cast<std::int64_t>(groups_.back().rows.size());
}

std::int64_t BatchDecoder::capacity() const {
  const sequence::SegmentParts parts(model_.vocabulary(), model_.layout());
  std::int64_t longest = 0;
  for (const Group& group : groups_) {
    std::vector<sequence::Modality> modalities;
    modalities.reserve(group.sample.request->segments.size());
    for (const SegmentRequest& segment : group.sample.request->segments)
      modalities.push_back(segment.modality);
    longest = std::max(longest, parts.document_capacity(modalities));
  }
  return longest;
}

std::vector<Document> BatchDecoder::run(const DecodeOptions& options) {
  const c10::InferenceMode no_gradients;
  model::DecodeSession session(model_, sequence_count(), capacity(), options.precision);
  prefill(session);
  while (true) {
    throw_if_interrupted();
    const std::int64_t sampled = sample_step(session);
    if (sampled == 0) break;
    if (options.on_tokens) options.on_tokens(sampled);
  }
  std::vector<Document> documents;
  for (Group& group : groups_) {
    const DocumentRow& row = group.rows.back();
    documents.push_back(
        sequence::parse_document(row.tokens(), row.plan(), model_.vocabulary(), model_.layout()));
  }
  return documents;
}

// Everything before the first choice; equal prefixes (samples of one prompt, rows without conditions) are
// computed once and copied.
void BatchDecoder::prefill(model::DecodeSession& session) {
  std::vector<std::vector<model::DecodeToken>> tokens(static_cast<std::size_t>(sequence_count()));
  std::map<std::vector<std::int32_t>, std::int64_t> first_with;
  std::vector<std::pair<std::int64_t, std::int64_t>> copies;
  for (Group& group : groups_) {
    for (std::size_t i = 0; i < group.rows.size(); ++i) {
      DocumentRow& row = group.rows[i];
      group.finished = !row.advance_to_choice();
      const std::int64_t sequence = group.first_sequence + static_cast<std::int64_t>(i);
      std::vector<model::DecodeToken> unseen = row.take_unseen();
      const auto [found, is_new] = first_with.emplace(row.tokens(), sequence);
      if (is_new) {
        tokens[static_cast<std::size_t>(sequence)] = std::move(unseen);
      } else {
        copies.emplace_back(found->second, sequence);
      }
    }
  }
  session.append(tokens);
  for (const auto& [from, to] : copies) session.copy_sequence(from, to);
}

// Draws the next token of every unfinished document and shows it to the model; returns how many were drawn.
std::int64_t BatchDecoder::sample_step(model::DecodeSession& session) {
  std::vector<std::int64_t> sequences;
  std::vector<AllowedTokens> choices;
  for (const Group& group : groups_) {
    if (group.finished) continue;
    for (std::size_t i = 0; i < group.rows.size(); ++i) {
      sequences.push_back(group.first_sequence + static_cast<std::int64_t>(i));
      choices.push_back(group.rows[i].choices());
    }
  }
  if (sequences.empty()) return 0;
  const std::vector<std::vector<float>> logits = session.logits(sequences, choices);
  std::vector<std::vector<model::DecodeToken>> tokens(static_cast<std::size_t>(sequence_count()));
  std::size_t used = 0;
  std::int64_t drawn = 0;
  bool any_left = false;
  for (Group& group : groups_) {
    if (group.finished) continue;
    choose(group, std::span(logits).subspan(used, group.rows.size()));
    used += group.rows.size();
    ++drawn;
    for (std::size_t i = 0; i < group.rows.size(); ++i) {
      group.finished = !group.rows[i].advance_to_choice();
      const auto sequence = static_cast<std::size_t>(group.first_sequence) + i;
      tokens[sequence] = group.rows[i].take_unseen();
      if (group.finished) tokens[sequence].clear();  // nothing is asked after the last choice
    }
    any_left = any_left || !group.finished;
  }
  if (any_left) session.append(tokens);
  return drawn;
}

void BatchDecoder::choose(Group& group, std::span<const std::vector<float>> logits) {
  const DocumentRequest& request = *group.sample.request;
  DocumentRow& row = group.rows.back();
  const kernels::SamplingKey key{.seed = request.seed,
                                 .sequence = group.sample.number,
                                 .step = static_cast<std::uint64_t>(row.tokens().size())};
  const std::string place = row.describe_place();
  const std::vector<std::span<const float>> rows(logits.begin(), logits.end());
  kernels::SamplingInput input;
  input.rows = rows;
  if (rows.size() > 1) input.guidance = request.guidance;
  input.place = place;
  const kernels::SampledToken sampled = kernels::sample_token(input, request.sampling, key);
  const std::int32_t token = row.choices().token(sampled.index);
  for (DocumentRow& each : group.rows) each.choose(token);
}

}  // namespace

void decode_documents(const model::Transformer& model, std::span<const DocumentRequest> requests,
                      const DecodeOptions& options,
                      const std::function<void(std::span<DecodedDocument>)>& on_batch) {
  for (const DocumentRequest& request : requests) check_request(request);
  std::vector<Sample> samples;
  std::vector<DecodedDocument> documents;
  std::int64_t sequences = 0;
  const auto decode_batch = [&] {
    if (samples.empty()) return;
    std::vector<Document> decoded = BatchDecoder(model, samples).run(options);
    for (std::size_t i = 0; i < decoded.size(); ++i) documents[i].document = std::move(decoded[i]);
    on_batch(documents);
    samples.clear();
    documents.clear();
    sequences = 0;
  };
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const std::int64_t rows = row_count(requests[i]);
    for (std::int64_t k = 0; k < requests[i].count; ++k) {
      if (sequences + rows > options.sequences_per_batch) decode_batch();
      const std::uint64_t number = requests[i].first_sample + static_cast<std::uint64_t>(k);
      samples.push_back({&requests[i], number});
      documents.push_back({.request = i, .sample_number = number, .document = {}});
      sequences += rows;
    }
  }
  decode_batch();
}

std::int64_t sampled_token_bound(const DocumentRequest& request, const sequence::Vocabulary& vocabulary,
                                 const sequence::SequenceLayout& layout) {
  std::int64_t count = 0;
  for (const SegmentRequest& segment : request.segments) {
    if (segment.given) continue;
    count += sequence::choice_bound(generated_plan(segment), vocabulary, layout) -
             static_cast<std::int64_t>(segment.fixed_tokens.size());
  }
  return count;
}

}  // namespace omni::generation
