#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "omni/generation/drawn_choices.h"

namespace omni::tools {

// What is drawn of samples that are not made yet, kept in a file of JSON lines: the first one tells the run, each other
// one a draw, with a checksum. Written whole when drawing is interrupted, when a batch is drawn, and once in a while before.
class UnfinishedDraws final : public generation::DrawKeeper {
 public:
  using Period = std::chrono::steady_clock::duration;
  struct Sample {
    std::string name, prompt;
    std::uint64_t seed = 0;
  };
  using Naming = std::function<Sample(std::size_t request, std::uint64_t sample)>;

  // Reads what an equal run left in `file`; `run` tells it from others. A damaged line is told of and left out, and so is
  // a file of another run: those samples are drawn anew. match() says what goes on. With `best_of` draws of each sample. A
  // kill costs at most what is drawn in `period`. Throws Error(io).
  UnfinishedDraws(std::filesystem::path file, std::string_view run, std::int64_t best_of,
                  Period period = std::chrono::minutes(1));

  // `wanted`: all samples that are to be made. Tells once of how many draws of theirs the run goes on with, and how many are of
  // no such sample: somebody may undo what was changed of the prompts, so these stay. What is of a sample's name and of
  // another prompt or seed is told of and drawn anew.
  void match(std::span<const Sample> wanted);
  // Which samples the next call of make_samples() draws.
  void name_samples(Naming naming) { naming_ = std::move(naming); }
  void forget(const std::string& name);  // the sample is made
  void forget_all();                     // all that are wanted are made
  // Brings the file up to date: without unfinished draws there is none. Throws Error(io).
  void save();

  generation::DrawnChoices begun(const generation::DrawPlace& place) override;
  void refuse(const generation::DrawPlace& place) override;
  void note(std::span<const generation::DrawPlace> places, std::span<const generation::DrawnChoices> drawn,
            bool ended) override;

 private:
  using Key = std::pair<std::string, std::uint64_t>;  // the sample's name, which of its draws
  struct Draw {
    std::string prompt;
    std::uint64_t seed = 0;
    generation::DrawnChoices drawn;
    bool is_of(const Sample& sample) const { return prompt == sample.prompt && seed == sample.seed; }
  };
  std::pair<Key, Sample> place_of(const generation::DrawPlace& place) const;
  void read();
  bool read_draw(std::string_view line);
  void tell_anew(const std::string& what, const char* why) const;

  std::filesystem::path file_;
  std::string head_;  // the file's first line
  std::uint64_t best_of_;
  Period period_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
  Naming naming_;
  std::map<Key, Draw> draws_;
};

}  // namespace omni::tools
