/* What streams keep while they capture, and graphs made of it. */
#ifndef VAGUS_TESTS_CUDA_GRAPHS_H
#define VAGUS_TESTS_CUDA_GRAPHS_H

#include <set>
#include <vector>

#include "tests/cuda/streams.h"

namespace emu
{
/* A piece of a graph, which runs after those that it names. */
struct Node {
    double ms;
    std::function<Progress()> run;
    std::vector<size_t> after;
};

/* The stream that began, and those that joined it by waiting for an event. */
struct Capture {
    cudaStream_t origin;
    std::set<cudaStream_t> members;
    std::vector<Node> nodes;
    bool spoilt = false; /* by a call that a capture forbids */

    /* How many nodes a node after `latest` would come after, at any remove. */
    size_t count_before(const std::vector<size_t> &latest) const;
};
} // namespace emu

struct CUgraph_st {
    std::vector<emu::Node> nodes;
};

#endif
