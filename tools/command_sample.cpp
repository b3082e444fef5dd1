#include <functional>
#include <memory>

#include "commands.h"
#include "cube3d_sampler.h"
#include "omni/core/error.h"
#include "sample_arguments.h"
#include "sample_memory.h"
#include "sample_model.h"
#include "sample_output.h"
#include "sample_prompts.h"

namespace omni::tools {
namespace {

std::string the_prompt(const SampleArguments& arguments) {
  if (arguments.prompts.empty() && arguments.any) return "";
  if (arguments.prompts.size() != 1)
    fail(ErrorKind::usage, "sampling with a Cube3D: ", arguments.prompts.size(),
         " prompts are given. Give one --prompt, a file of --prompts, or --any to draw without one");
  return arguments.prompts.front();
}

// Options of a single command leave no folder in which what is drawn could be kept.
constexpr const char* kGoingOn =
    "; with the prompt in a file, --prompts FILE --out FOLDER goes on where it was stopped";

// What is written when Ctrl-C comes stays, and is told of.
void make_into(SampleOutput& output, const SampleArguments& arguments,
               const std::function<void(const generation::OnSample&)>& make) {
  try {
    make([&](const generation::GeneratedSample& sample) { output.write(sample); });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    output.write_preview();
    fail(ErrorKind::interrupted, "interrupted: ", output.told_of_written(), ". The same command begins anew",
         arguments.prompts.empty() ? "" : kGoingOn);
  }
  tell_peak_memory(arguments.device == "cuda");
  output.finish();
}

void sample_cube3d(const SampleArguments& arguments) {
  const SeededPrompt prompt{.text = the_prompt(arguments), .seed = arguments.seed, .count = arguments.count};
  Cube3dSampler sampler(arguments);
  sampler.check(prompt.text);
  SampleOutput output(arguments, sampler.task());
  make_into(output, arguments, [&](const generation::OnSample& on_sample) {
    sampler.sample({&prompt, 1}, sample_options(arguments, output.wants_meshes()), on_sample);
  });
}

void run_sample(const SampleArguments& arguments) {
  if (names_cube3d(arguments)) return sample_cube3d(arguments);
  const generation::GenerationRequest request = read_request(arguments);
  SampleOutput output(arguments, request.task);
  const model::Bundle bundle = load_model(arguments, request);
  make_into(output, arguments, [&](const generation::OnSample& on_sample) {
    generation::make_samples(bundle, {&request, 1}, sample_options(arguments, output.wants_meshes()),
                             on_sample);
  });
}

}  // namespace

void add_sample_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("sample", "make meshes, pictures or texts with a trained model");
  const auto arguments = std::make_shared<SampleArguments>();
  add_sample_options(*command, *arguments);
  command->callback([command, arguments] {
    choose_what_is_not_given(*command, *arguments);
    arguments->prompts_file.empty() ? run_sample(*arguments) : sample_prompts(*arguments);
  });
}

}  // namespace omni::tools
