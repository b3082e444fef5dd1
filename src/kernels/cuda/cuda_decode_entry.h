#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "cuda_sampling_row.h"
#include "decode_plan_interface.h"
#include "omni/kernels/cuda_decode_step.h"

namespace omni::kernels {

// A step's entry in the plan's table, in words of 32 bits: all that changes from step to step.
class DecodeStepEntry {
 public:
  // `samples` 0: nothing is drawn.
  DecodeStepEntry(std::int64_t rows, std::int64_t samples, std::int64_t head_size)
      : rows_(rows), samples_(samples), half_(head_size / 2) {}

  std::int64_t sampling() const { return 0; }  // OmniCudaSamplingRow of each sample: at multiples of 8 bytes
  std::int64_t ranges() const { return kSamplingWords * samples_; }
  std::int64_t guidance() const { return ranges() + kRangeWords * samples_; }
  std::int64_t runs() const { return guidance() + conditions() * samples_; }
  std::int64_t first() const { return runs() + kRunWords; }
  std::int64_t second() const { return first() + kPlaceWords * rows_; }
  std::int64_t tokens() const { return second() + kPlaceWords * rows_; }
  std::int64_t drawn_of_row() const { return tokens() + rows_; }
  std::int64_t slots() const { return drawn_of_row() + rows_; }
  std::int64_t next_slots() const { return slots() + rows_; }
  std::int64_t cosine() const { return next_slots() + rows_; }
  std::int64_t sine() const { return cosine() + half_ * rows_; }
  std::int64_t words() const { return (sine() + half_ * rows_ + 1) / 2 * 2; }

  std::int64_t conditions() const { return samples_ == 0 ? 0 : rows_ / samples_ - 1; }

  void write_rows(std::span<const CudaDecodeStepRow> rows, std::int32_t* words) const {
    for (std::int64_t r = 0; r < rows_; ++r) {
      const CudaDecodeStepRow& row = rows[static_cast<std::size_t>(r)];
      put(words, first() + kPlaceWords * r, &row.first, kPlaceWords);
      put(words, second() + kPlaceWords * r, &row.second, kPlaceWords);
      words[tokens() + r] = row.token;
      words[drawn_of_row() + r] = static_cast<std::int32_t>(r / (conditions() + 1));
      words[slots() + r] = row.slot;
      words[next_slots() + r] = row.next_slot;
      put(words, cosine() + half_ * r, row.cosine.data(), half_);
      put(words, sine() + half_ * r, row.sine.data(), half_);
    }
  }

  // Which rows of the head are multiplied.
  void write_runs(std::span<const TokenRun> wanted, std::int64_t vocabulary, std::int32_t* words) const {
    const CudaSamplingRanges ranges = cuda_sampling_ranges(wanted, vocabulary);
    put(words, runs(), ranges.data(), kRunWords);
  }

  void write_draws(std::span<const CudaDecodeDraw> draws, std::int64_t vocabulary,
                   std::int32_t* words) const {
    for (std::int64_t s = 0; s < samples_; ++s) {
      const CudaDecodeDraw& draw = draws[static_cast<std::size_t>(s)];
      const OmniCudaSamplingRow row = cuda_sampling_row(draw.settings, draw.key);
      const CudaSamplingRanges allowed = cuda_sampling_ranges(draw.allowed, vocabulary);
      put(words, sampling() + kSamplingWords * s, &row, kSamplingWords);
      put(words, ranges() + kRangeWords * s, allowed.data(), kRangeWords);
      for (std::int64_t c = 0; c < conditions(); ++c) {
        const auto weight = static_cast<float>(draw.guidance[static_cast<std::size_t>(c)]);
        put(words, guidance() + conditions() * s + c, &weight, 1);
      }
    }
    write_runs(runs_of(draws), vocabulary, words);
  }

 private:
  static void put(std::int32_t* words, std::int64_t at, const void* values, std::int64_t count) {
    std::memcpy(words + at, values, static_cast<std::size_t>(count) * sizeof(std::int32_t));
  }

  // What any sample may draw; empty, which is all, where that is too many runs.
  static std::vector<TokenRun> runs_of(std::span<const CudaDecodeDraw> draws) {
    std::vector<TokenRun> all;
    for (const CudaDecodeDraw& draw : draws) {
      if (draw.allowed.empty()) return {};
      all.insert(all.end(), draw.allowed.begin(), draw.allowed.end());
    }
    std::sort(all.begin(), all.end(), [](const TokenRun& a, const TokenRun& b) { return a.first < b.first; });
    std::vector<TokenRun> joined;
    for (const TokenRun& run : all) {
      if (run.size == 0) continue;
      if (joined.empty() || run.first > joined.back().first + joined.back().size)
        joined.push_back(run);
      else
        joined.back().size = std::max(joined.back().size, run.first + run.size - joined.back().first);
    }
    return joined.size() <= kOmniCudaMostRuns ? joined : std::vector<TokenRun>();
  }

  static constexpr std::int64_t kPlaceWords = 6, kRunWords = std::int64_t{2} * kOmniCudaMostRuns,
                                kRangeWords = std::int64_t{2} * kOmniCudaMostRanges,
                                kSamplingWords = sizeof(OmniCudaSamplingRow) / sizeof(std::int32_t);
  static_assert(sizeof(CudaDecodePlace) == kPlaceWords * sizeof(std::int32_t) &&
                sizeof(OmniCudaDecodeRow) == sizeof(CudaDecodePlace));
  static_assert(kRunWords == kRangeWords && kSamplingWords % 2 == 0);
  std::int64_t rows_, samples_, half_;
};

}  // namespace omni::kernels
