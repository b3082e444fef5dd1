# The CUDA plug-in libomni_cuda.so: raw kernels and launchers, compiled by nvcc without Torch's headers. Without nvcc
# (or with OMNI_CUDA=OFF) the CPU build is complete.
set(OMNI_KERNELS "common" CACHE STRING
  "Attention kernels: common (bf16 at head sizes up to 128) or all (fp16 and head sizes up to 256 too)")
set_property(CACHE OMNI_KERNELS PROPERTY STRINGS common all)

if(NOT OMNI_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  set(CMAKE_CUDA_ARCHITECTURES 80 90a CACHE STRING "GPU architectures of the plug-in")
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    file(GLOB _cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/cuda/*.cu")
    add_library(omni_cuda MODULE ${_cuda_sources})
    set_target_properties(omni_cuda PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"
      CUDA_STANDARD 17 CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET default)
    if(OMNI_KERNELS STREQUAL "all")
      target_compile_definitions(omni_cuda PRIVATE OMNI_KERNELS_ALL)
    endif()
    # Attention for Hopper refuses to run where its kernels would be empty.
    if("${CMAKE_CUDA_ARCHITECTURES}" MATCHES "(^|;)90a(-real|-virtual)?(;|$)")
      file(GLOB _hopper_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/cuda/hopper_*.cu")
      set_property(SOURCE ${_hopper_sources} APPEND PROPERTY COMPILE_DEFINITIONS OMNI_HOPPER_CODE)
    endif()
    # What ptxas says of registers and spills stays beside each object, for a test.
    target_compile_options(omni_cuda PRIVATE -Xptxas -v)
    set_target_properties(omni_cuda PROPERTIES
      CUDA_COMPILER_LAUNCHER "${PROJECT_SOURCE_DIR}/cmake/keep_compiler_report.sh")
    install(TARGETS omni_cuda LIBRARY DESTINATION lib)
    # LibTorch's graphs behind a C interface, in a library of their own: the one thing that is compiled against LibTorch's
    # CUDA half, which is loaded before it.
    if(TARGET LibTorch::cuda AND EXISTS "${LibTorch_INCLUDE_DIR}/ATen/cuda/CUDAGraph.h")
      find_package(CUDAToolkit REQUIRED)
      add_library(omni_cuda_graph MODULE "${PROJECT_SOURCE_DIR}/src/kernels/cuda/graph/cuda_graph.cpp")
      target_include_directories(omni_cuda_graph PRIVATE "${PROJECT_SOURCE_DIR}/src/kernels/cuda")
      target_include_directories(omni_cuda_graph SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
      target_link_libraries(omni_cuda_graph PRIVATE omni_options LibTorch::cuda)
      # It is found where the program has loaded LibTorch from.
      set_target_properties(omni_cuda_graph PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}" SKIP_BUILD_RPATH ON)
      add_dependencies(omni_cuda omni_cuda_graph)
      install(TARGETS omni_cuda_graph LIBRARY DESTINATION lib)
    endif()
  elseif(OMNI_CUDA STREQUAL "ON")
    message(FATAL_ERROR "OMNI_CUDA=ON, but there is no nvcc. Install the CUDA Toolkit 13 or set OMNI_CUDA=AUTO")
  else()
    message(STATUS "no nvcc: building for the CPU alone")
  endif()
endif()
