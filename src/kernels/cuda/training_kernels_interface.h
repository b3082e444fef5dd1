#pragma once

// The C interfaces of the kernels that training alone uses.
#include "adamw_interface.h"
#include "cross_entropy_interface.h"
#include "embedding_interface.h"
#include "head_rotation_interface.h"
#include "norm_gradient_interface.h"
#include "swiglu_interface.h"
