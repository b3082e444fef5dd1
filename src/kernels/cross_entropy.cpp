#include "omni/kernels/cross_entropy.h"

#include <algorithm>
#include <limits>

#include "cpu/cross_entropy_kernels.h"
#include "cpu/row_chunks.h"
#include "cuda/cuda_cross_entropy.h"
#include "cuda/cuda_launch.h"
#include "gradients.h"
#include "library_products.h"
#include "omni/core/error.h"
#include "omni/kernels/gradient_function.h"
#include "omni/kernels/profiled_range.h"

namespace omni::kernels {
namespace {

using at::Tensor;

// Rows of one chunk of logits: a multiple of kChunkRows, so that the matrix library meets few shapes.
std::int64_t logit_chunk(std::int64_t rows, std::int64_t columns, std::int64_t element_size) {
  const std::int64_t fitting = kPieceBytes / std::max<std::int64_t>(1, columns * element_size);
  return std::min(rows, std::max(kChunkRows, fitting / kChunkRows * kChunkRows));
}

// What the rows of logits are compared with, and where what is known of each row goes.
struct CrossEntropyPlaces {
  Tensor targets, weights, losses, log_sums, correct;
  double z_loss = 0;
  bool fused = false;  // by the kernel of the GPU's plug-in
};

// The same through tensor operations.
void differentiate_plainly(const Tensor& logits, const CrossEntropyPlaces& places, std::int64_t first) {
  const auto own = [&](const Tensor& all) { return all.narrow(0, first, logits.size(0)); };
  const Tensor wide = logits.to(at::kFloat), index = own(places.targets).to(at::kLong).unsqueeze(1);
  const Tensor log_sums = wide.logsumexp(1), weights = own(places.weights);
  own(places.log_sums).copy_(log_sums);
  own(places.losses).copy_(log_sums - wide.gather(1, index).squeeze(1));
  own(places.correct).copy_(wide.argmax(1) == index.squeeze(1));
  const Tensor gradient =
      (wide - log_sums.unsqueeze(1)).exp_().mul_((weights * (1 + 2 * places.z_loss * log_sums)).unsqueeze(1));
  logits.copy_(gradient.scatter_add_(1, index, weights.neg().unsqueeze(1)));
}

// Logits [n, classes] of the rows from `first` on -> their gradients, in place.
void differentiate_logits(const Tensor& logits, const CrossEntropyPlaces& places, std::int64_t first) {
  if (places.fused) {
    const auto own = [&](const Tensor& all) { return all.narrow(0, first, logits.size(0)); };
    return cuda_cross_entropy({logits, own(places.targets), own(places.weights), own(places.losses),
                               own(places.log_sums), own(places.correct), places.z_loss});
  }
  if (!has_row_kernel(logits)) return differentiate_plainly(logits, places, first);
  CrossEntropyCall call;
  call.bf16 = logits.scalar_type() == at::kBFloat16;
  call.width = logits.size(1);
  call.logits = logits.mutable_data_ptr();
  call.targets = places.targets.const_data_ptr<std::int32_t>() + first;
  call.weights = places.weights.const_data_ptr<float>() + first;
  call.z_loss = static_cast<float>(places.z_loss);
  call.losses = places.losses.mutable_data_ptr<float>() + first;
  call.log_sums = places.log_sums.mutable_data_ptr<float>() + first;
  call.correct = places.correct.mutable_data_ptr<std::uint8_t>() + first;
  for_row_chunks(logits.size(0), [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    cross_entropy_kernels().differentiate(call, begin, end);
  });
}

// The classes of a call and what is known of its rows.
struct Classes {
  ClassTable table;
  std::vector<Tensor> codebooks, projections;  // in the type of the hidden rows
  std::vector<ClassRun> runs;
  std::vector<std::int64_t> columns;  // of each run, and of all
  CrossEntropyPlaces places;
  std::int64_t chunk = 0;

  Tensor run_of(const Tensor& logits, std::size_t run) const {
    return logits.narrow(1, columns[run], runs[run].size);
  }
  Tensor weights_of(std::size_t run) const { return table.cast.narrow(0, runs[run].first, runs[run].size); }
  Tensor codes_of(std::size_t run) const {
    return codebooks[runs[run].codebook].narrow(0, runs[run].first_code, runs[run].size);
  }
};

// In the memory of `used` where it fits.
Tensor logits_of(const Tensor& used, const Tensor& hidden, const Classes& classes) {
  const bool fits = used.defined() && used.size(0) == hidden.size(0);
  Tensor logits = fits ? used : at::empty({hidden.size(0), classes.columns.back()}, hidden.options());
  for (std::size_t r = 0; r < classes.runs.size(); ++r) {
    Tensor own = classes.run_of(logits, r);
    put_product(own, hidden, classes.weights_of(r).t());
    const std::int64_t codebook = classes.runs[r].codebook;
    if (codebook >= 0)
      add_product(own, product(hidden, classes.projections[codebook]), classes.codes_of(r).t());
    const std::int64_t end = classes.columns[r] + classes.runs[r].size, gap = classes.columns[r + 1] - end;
    if (gap > 0) logits.narrow(1, end, gap).fill_(-std::numeric_limits<double>::infinity());
  }
  return logits;
}

// Undefined where not wanted.
struct ClassGradients {
  Tensor hidden, table;
  std::vector<Tensor> projections;
};

// The share of rows whose logits have the given gradient: sets that of the rows, adds to the others. scale: of
// the objective.
void add_gradients(const Tensor& logits, const Tensor& hidden, const Tensor& scale, const Classes& classes,
                   const ClassGradients& gradients) {
  // Rather than the products, which are larger.
  const Tensor scaled = hidden.mul(scale);
  Tensor rows = gradients.hidden;
  for (std::size_t r = 0; r < classes.runs.size(); ++r) {
    const Tensor own = classes.run_of(logits, r);
    if (gradients.table.defined())
      add_weight_gradient(gradients.table.narrow(0, classes.runs[r].first, classes.runs[r].size), own,
                          scaled);
    if (rows.defined() && r == 0) put_product(rows, own, classes.weights_of(r));
    if (rows.defined() && r > 0) add_product(rows, own, classes.weights_of(r));
    const std::int64_t codebook = classes.runs[r].codebook;
    if (codebook < 0) continue;
    const Tensor codes = product(own, classes.codes_of(r));
    if (rows.defined()) add_product(rows, codes, classes.projections[codebook].t());
    if (gradients.projections[codebook].defined())
      add_weight_gradient(gradients.projections[codebook], scaled, codes);
  }
  if (rows.defined()) rows.mul_(scale);
}

// Of hidden rows, the table, the projection of each codebook. Keeps the gradient of the logits where those fit
// one chunk.
class CrossEntropyFunction : public GradientFunction {
 public:
  explicit CrossEntropyFunction(Classes classes) : classes_(std::move(classes)) {}

  std::vector<Tensor> forward(ForwardContext& context, const std::vector<Tensor>& inputs) const override {
    const Tensor& hidden = inputs[0];
    const CrossEntropyPlaces& places = classes_.places;
    const std::int64_t count = hidden.size(0);
    std::vector<Tensor> saved = inputs;
    Tensor logits;
    for (std::int64_t first = 0; first < count; first += classes_.chunk) {
      const std::int64_t rows = std::min(classes_.chunk, count - first);
      logits = logits_of(logits, hidden.narrow(0, first, rows), classes_);
      differentiate_logits(logits, places, first);
    }
    if (classes_.chunk == count) saved.push_back(logits);
    context.save(std::move(saved));
    context.leave_missing_gradients_undefined();
    Tensor objective = (places.weights * places.losses).sum();
    if (places.z_loss > 0)
      objective = objective + places.z_loss * (places.weights * places.log_sums.square()).sum();
    context.mark_non_differentiable({places.losses, places.correct});
    return {objective, places.losses, places.correct};
  }

  std::vector<Tensor> backward(const BackwardContext& context,
                               const std::vector<Tensor>& gradients) const override {
    const ProfiledRange profiled("omni::cross_entropy_backward");
    const std::size_t inputs = 2 + classes_.codebooks.size();
    std::vector<Tensor> result(inputs);
    if (!gradients[0].defined()) return result;
    const std::vector<Tensor> saved = context.saved();
    const Tensor &hidden = saved[0], &table = saved[1];
    const std::int64_t count = hidden.size(0);
    ClassGradients all;
    if (context.needs_gradient(0)) all.hidden = at::empty_like(hidden);
    if (context.needs_gradient(1)) all.table = gradient_of(table);
    for (std::size_t i = 0; i < classes_.codebooks.size(); ++i)
      all.projections.push_back(context.needs_gradient(2 + i) ? at::zeros_like(saved[2 + i]) : Tensor());

    Tensor logits = saved.size() > inputs ? saved[inputs] : Tensor();
    const bool kept = logits.defined();
    for (std::int64_t first = 0; first < count; first += classes_.chunk) {
      const std::int64_t rows = std::min(classes_.chunk, count - first);
      const Tensor own = hidden.narrow(0, first, rows);
      if (!kept) {
        logits = logits_of(logits, own, classes_);
        differentiate_logits(logits, classes_.places, first);
      }
      ClassGradients part = all;
      if (all.hidden.defined()) part.hidden = all.hidden.narrow(0, first, rows);
      add_gradients(logits, own, gradients[0], classes_, part);
    }
    result[0] = all.hidden;
    std::copy(all.projections.begin(), all.projections.end(), result.begin() + 2);
    return result;
  }

 private:
  Classes classes_;
};

}  // namespace

std::vector<std::int64_t> class_columns(std::span<const ClassRun> runs) {
  constexpr std::int64_t kAlignment = 8;  // of elements of 2 bytes
  std::vector<std::int64_t> columns = {0};
  for (const ClassRun& run : runs)
    columns.push_back((columns.back() + run.size + kAlignment - 1) / kAlignment * kAlignment);
  return columns;
}

RowCrossEntropy row_cross_entropy(const Tensor& hidden, const ClassTable& table,
                                  std::span<const ClassRun> runs, const Tensor& targets,
                                  const Tensor& weights, double z_loss, KernelPath path) {
  ensure(!table.table.requires_grad() || table.table.is_leaf(),
         "cross-entropy: a table that is trained must be a leaf");
  const std::int64_t count = hidden.size(0);
  Classes classes;
  classes.table = table;
  classes.runs.assign(runs.begin(), runs.end());
  classes.columns = class_columns(runs);
  const bool fused = takes_fused_kernel(hidden, path, "cross_entropy");
  // Without a kernel they are held in fp32 as well.
  classes.chunk =
      logit_chunk(count, classes.columns.back(),
                  fused || has_row_kernel(hidden) ? hidden.element_size() : c10::elementSize(at::kFloat));
  std::vector<Tensor> inputs = {hidden, table.table};
  for (const ClassCodebook& own : table.codebooks) {
    classes.codebooks.push_back(own.codebook.to(hidden.scalar_type()));
    classes.projections.push_back(own.projection.detach().to(hidden.scalar_type()));
    inputs.push_back(own.projection);
  }
  const auto of_rows = [&](at::ScalarType type) {
    return at::empty({count}, hidden.options().dtype(type).requires_grad(false));
  };
  classes.places = {targets, weights, of_rows(at::kFloat), of_rows(at::kFloat), of_rows(at::kByte),
                    z_loss,  fused};
  const std::vector<Tensor> out =
      apply_with_gradient(std::make_unique<CrossEntropyFunction>(std::move(classes)), inputs);
  return {out[0], out[1], out[2].to(at::kBool)};
}

}  // namespace omni::kernels
