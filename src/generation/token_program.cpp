#include "omni/generation/token_program.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "omni/core/error.h"
#include "omni/core/interrupt.h"
#include "settled_stretch.h"

namespace omni::generation {
namespace {

using model::DecodePrompt;
using model::DecodeToken;

// Programs that grow in one session, each over neighbouring sequences.
class ProgramRun {
 public:
  ProgramRun(const model::Transformer& model, std::span<const std::unique_ptr<TokenProgram>> programs,
             const model::DecodePrecision& precision)
      : programs_(programs),
        first_(first_sequences(programs)),
        drawn_(programs.size()),
        session_(model, first_.back(), capacity(programs), precision),
        unseen_(static_cast<std::size_t>(first_.back())) {}

  void prefill();
  // Makes the choices that were made before, and shows them to the model but for those of the last step. -> how many.
  std::int64_t go_on(std::vector<DrawnChoices> begun);
  // One choice of each program, or those of a stretch: how many were made; 0 once all programs are finished.
  std::int64_t step();
  // With the time of each that this run has taken so far.
  const std::vector<DrawnChoices>& drawn();

 private:
  using Programs = std::span<const std::unique_ptr<TokenProgram>>;
  static std::vector<std::int64_t> first_sequences(Programs programs);
  static std::int64_t capacity(Programs programs);
  std::vector<std::size_t> open_programs() const;
  std::int64_t draw_stretch();
  std::int64_t choose_by_logits();
  void choose(std::size_t program, std::span<const std::vector<float>> logits);
  void note_choice(std::size_t program, std::int32_t token, double log_probability);
  void take_unseen(std::size_t program);
  void show(const std::vector<std::vector<std::vector<DecodeToken>>>& steps);

  Programs programs_;
  std::vector<std::int64_t> first_;  // of each program, and one past the last one's
  std::vector<DrawnChoices> drawn_;  // by program; but for the time of this run
  std::vector<double> seconds_before_ = std::vector<double>(programs_.size(), 0);
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  model::DecodeSession session_;
  std::vector<std::vector<DecodeToken>>
      unseen_;                        // of each sequence: chosen and forced, not shown to the model
  std::vector<std::size_t> refused_;  // the open programs whose stretch the session refused last
};

std::vector<std::int64_t> ProgramRun::first_sequences(Programs programs) {
  std::vector<std::int64_t> first = {0};
  for (const auto& program : programs) first.push_back(first.back() + program->row_count());
  return first;
}

std::int64_t ProgramRun::capacity(Programs programs) {
  std::int64_t longest = 0;
  for (const auto& program : programs) longest = std::max(longest, program->capacity());
  return longest;
}

// Equal prompts (samples of one prompt, rows without conditions) are computed once and copied.
void ProgramRun::prefill() {
  std::vector<DecodePrompt> prompts(static_cast<std::size_t>(first_.back()));
  std::map<std::pair<const void*, std::vector<std::int32_t>>, std::int64_t> first_with;
  std::vector<std::pair<std::int64_t, std::int64_t>> copies;
  for (std::size_t p = 0; p < programs_.size(); ++p) {
    for (std::int64_t row = 0; row < programs_[p]->row_count(); ++row) {
      const std::int64_t sequence = first_[p] + row;
      DecodePrompt prompt = programs_[p]->take_prompt(row);
      std::vector<std::int32_t> tokens;
      // Features in a token's place are a function of the text: what tells them from the tokens is enough.
      for (const DecodeToken& token : prompt.tokens)
        tokens.push_back(token.embedded.defined() ? -1 - token.token : token.token);
      const void* features = prompt.features.defined() ? prompt.features.const_data_ptr() : nullptr;
      const auto [found, is_new] = first_with.emplace(std::pair(features, std::move(tokens)), sequence);
      if (is_new) {
        prompts[static_cast<std::size_t>(sequence)] = std::move(prompt);
      } else {
        copies.emplace_back(found->second, sequence);
      }
    }
  }
  session_.prefill(prompts);
  for (const auto& [from, to] : copies) session_.copy_sequence(from, to);
}

std::int64_t ProgramRun::go_on(std::vector<DrawnChoices> begun) {
  if (begun.empty()) return 0;
  ensure(begun.size() == programs_.size(), "what was drawn before of each program");
  std::int64_t made = 0;
  std::vector<std::vector<std::vector<DecodeToken>>> steps(unseen_.size());
  for (std::size_t p = 0; p < programs_.size(); ++p) {
    for (const std::int32_t token : begun[p].tokens) {
      for (std::int64_t s = first_[p]; s < first_[p + 1]; ++s) {
        auto& unseen = unseen_[static_cast<std::size_t>(s)];
        if (!unseen.empty()) steps[static_cast<std::size_t>(s)].push_back(std::move(unseen));
      }
      programs_[p]->choose(token);
      take_unseen(p);
    }
    if (programs_[p]->finished())
      for (std::int64_t s = first_[p]; s < first_[p + 1]; ++s) steps[static_cast<std::size_t>(s)].clear();
    made += static_cast<std::int64_t>(begun[p].tokens.size());
    seconds_before_[p] = begun[p].seconds;
  }
  drawn_ = std::move(begun);
  show(steps);
  return made;
}

// Of each sequence the tokens of steps, as many steps at a time as have no more rows than a prompt's products take
// without another order of sums; a step of more rows by itself, as it came.
void ProgramRun::show(const std::vector<std::vector<std::vector<DecodeToken>>>& steps) {
  constexpr std::size_t kRows = 64;
  std::vector<std::size_t> shown(steps.size(), 0);
  while (!interrupt_requested()) {
    bool any = false;
    std::vector<std::vector<DecodeToken>> piece(steps.size());
    for (std::size_t s = 0; s < steps.size(); ++s) {
      for (; shown[s] < steps[s].size(); ++shown[s]) {
        const std::vector<DecodeToken>& step = steps[s][shown[s]];
        if (!piece[s].empty() && piece[s].size() + step.size() > kRows) break;
        piece[s].insert(piece[s].end(), step.begin(), step.end());
      }
      any = any || !piece[s].empty();
    }
    if (!any) return;
    session_.append(piece);
  }
}

const std::vector<DrawnChoices>& ProgramRun::drawn() {
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - started_;
  for (std::size_t p = 0; p < drawn_.size(); ++p)
    drawn_[p].seconds = seconds_before_[p] + taken.count() / static_cast<double>(drawn_.size());
  return drawn_;
}

void ProgramRun::note_choice(std::size_t program, std::int32_t token, double log_probability) {
  drawn_[program].tokens.push_back(token);
  drawn_[program].log_probability += log_probability;
  programs_[program]->choose(token);
}

std::vector<std::size_t> ProgramRun::open_programs() const {
  std::vector<std::size_t> open;
  for (std::size_t p = 0; p < programs_.size(); ++p)
    if (!programs_[p]->finished()) open.push_back(p);
  return open;
}

// Nothing is asked after the last choice.
void ProgramRun::take_unseen(std::size_t number) {
  TokenProgram& program = *programs_[number];
  for (std::int64_t row = 0; row < program.row_count(); ++row)
    unseen_[static_cast<std::size_t>(first_[number] + row)] =
        program.finished() ? std::vector<DecodeToken>() : program.take_unseen(row);
}

std::int64_t ProgramRun::step() {
  const auto waits = [](const std::vector<DecodeToken>& tokens) { return !tokens.empty(); };
  if (std::any_of(unseen_.begin(), unseen_.end(), waits)) {
    if (const std::int64_t drawn = draw_stretch(); drawn > 0) return drawn;
    session_.append(unseen_);
  }
  return choose_by_logits();
}

// 0 where the host has to make the next choice: rows that differ in number, or several tokens at once.
std::int64_t ProgramRun::draw_stretch() {
  std::int64_t count = session_.longest_stretch();
  if (count == 0) return 0;
  const std::vector<std::size_t> open = open_programs();
  if (open == refused_) return 0;
  for (const std::size_t p : open) {
    if (programs_[p]->row_count() != programs_[open[0]]->row_count()) return 0;
    for (std::int64_t s = first_[p]; s < first_[p + 1]; ++s)
      if (unseen_[static_cast<std::size_t>(s)].size() != 1) return 0;
    count = std::min(count, programs_[p]->settled_choices());
  }
  std::vector<model::DecodeStretch> stretches;
  for (const std::size_t p : open) {
    const auto rows = std::span(unseen_).subspan(static_cast<std::size_t>(first_[p]),
                                                 static_cast<std::size_t>(programs_[p]->row_count()));
    stretches.push_back(settled_stretch(*programs_[p], rows, first_[p], count));
  }
  const auto drawn = session_.draw(stretches);
  if (!drawn) {
    // Looking ahead again would be in vain while the rows are these. A single choice may be refused for its
    // place, as a text's is, and costs no look ahead.
    if (count > 1) refused_ = open;
    return 0;
  }
  for (const std::vector<kernels::DrawnToken>& tokens : *drawn) {
    for (std::size_t i = 0; i < open.size(); ++i) {
      kernels::require_drawn(tokens[i].fault, programs_[open[i]]->describe_place());
      note_choice(open[i], tokens[i].token, tokens[i].log_probability);
      take_unseen(open[i]);
    }
  }
  return count * static_cast<std::int64_t>(open.size());
}

std::int64_t ProgramRun::choose_by_logits() {
  std::vector<std::int64_t> sequences;
  std::vector<sequence::AllowedTokens> allowed;
  const std::vector<std::size_t> open = open_programs();
  for (const std::size_t p : open) {
    for (std::int64_t s = first_[p]; s < first_[p + 1]; ++s) {
      sequences.push_back(s);
      allowed.push_back(programs_[p]->choice().allowed);
    }
  }
  if (open.empty()) return 0;
  const std::vector<std::vector<float>> logits = session_.logits(sequences, allowed);
  std::size_t used = 0;
  for (const std::size_t p : open) {
    const auto rows = static_cast<std::size_t>(programs_[p]->row_count());
    choose(p, std::span(logits).subspan(used, rows));
    used += rows;
    take_unseen(p);
  }
  return static_cast<std::int64_t>(open.size());
}

void ProgramRun::choose(std::size_t number, std::span<const std::vector<float>> logits) {
  const TokenProgram& program = *programs_[number];
  const TokenChoice choice = program.choice();
  const std::string place = program.describe_place();
  const std::vector<std::span<const float>> rows(logits.begin(), logits.end());
  kernels::SamplingInput input;
  input.rows = rows;
  input.guidance = choice.guidance;
  input.place = place;
  const kernels::SampledToken sampled = kernels::sample_token(input, *choice.sampling, choice.key);
  note_choice(number, choice.allowed.token(sampled.index), sampled.log_probability);
}

}  // namespace

ProgramScores run_programs(const model::Transformer& model,
                           std::span<const std::unique_ptr<TokenProgram>> programs,
                           const ProgramOptions& options) {
  if (programs.empty()) return {};
  const std::size_t count = programs.size();
  if (interrupt_requested())
    return {.log_probabilities = std::vector<double>(count),
            .interrupted = true,
            .seconds = std::vector<double>(count)};
  const c10::InferenceMode no_gradients;
  ProgramRun run(model, programs, options.precision);
  run.prefill();
  const auto tell = [&](std::int64_t chosen) {
    if (options.on_tokens && chosen > 0) options.on_tokens(chosen);
    if (options.on_drawn) options.on_drawn(run.drawn(), /*ended=*/chosen == 0);
  };
  if (const std::int64_t made = run.go_on(options.begun); made > 0) tell(made);
  bool interrupted = false;
  while (!(interrupted = interrupt_requested())) {
    const std::int64_t chosen = run.step();
    if (chosen == 0) break;
    tell(chosen);
  }
  tell(0);
  const bool whole =
      std::all_of(programs.begin(), programs.end(), [](const auto& p) { return p->finished(); });
  ProgramScores scores{.log_probabilities = {}, .interrupted = interrupted && !whole, .seconds = {}};
  for (const DrawnChoices& drawn : run.drawn()) {
    scores.log_probabilities.push_back(drawn.log_probability);
    scores.seconds.push_back(drawn.seconds);
  }
  return scores;
}

}  // namespace omni::generation
