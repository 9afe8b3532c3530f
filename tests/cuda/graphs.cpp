#include "tests/cuda/graphs.h"

#include <memory>

#include "tests/cuda/block.h"
#include "tests/cuda/emu.h"

using emu::Node;
using emu::Progress;

struct CUgraphExec_st {
    std::shared_ptr<const std::vector<Node>> nodes;
};

size_t emu::Capture::count_before(const std::vector<size_t> &latest) const
{
    std::vector<bool> seen(nodes.size(), false);
    std::vector<size_t> open = latest;
    size_t count = 0;
    while (!open.empty()) {
        const size_t number = open.back();
        open.pop_back();
        if (seen[number]) continue;
        seen[number] = true;
        count++;
        open.insert(open.end(), nodes[number].after.begin(), nodes[number].after.end());
    }
    return count;
}

namespace
{
/* One launch of a graph: its nodes in a random order that their dependencies allow. */
class Launch
{
  public:
    explicit Launch(std::shared_ptr<const std::vector<Node>> all) : nodes(std::move(all))
    {
        for (size_t i = 0; i < nodes->size(); i++) {
            waits_for.push_back((*nodes)[i].after.size());
            if (!waits_for[i]) ready.push_back(i);
        }
        then.resize(nodes->size());
        for (size_t i = 0; i < nodes->size(); i++)
            for (size_t before : (*nodes)[i].after) then[before].push_back(i);
    }

    /* Runs one node. */
    Progress step()
    {
        if (ready.empty()) return Progress::whole;
        const size_t first = emu::random_below((unsigned)ready.size());
        for (size_t i = 0; i < ready.size(); i++) {
            const size_t at = (first + i) % ready.size(), number = ready[at];
            const Progress progress = *emu::failure() ? Progress::whole : (*nodes)[number].run();
            if (progress == Progress::none) continue;
            if (progress == Progress::some) return progress;
            emu::spend((*nodes)[number].ms);
            ready.erase(ready.begin() + (ptrdiff_t)at);
            for (size_t next : then[number])
                if (--waits_for[next] == 0) ready.push_back(next);
            return ready.empty() ? Progress::whole : Progress::some;
        }
        return Progress::none;
    }

  private:
    std::shared_ptr<const std::vector<Node>> nodes;
    std::vector<size_t> waits_for, ready;
    std::vector<std::vector<size_t>> then;
};
} // namespace

extern "C" {
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    *out = new CUgraphExec_st{std::make_shared<const std::vector<Node>>(graph->nodes)};
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

/* One piece of the stream's work, which stays in front until its last node has run. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    if (emu::forbidden()) return emu::noted(cudaErrorStreamCaptureUnsupported);
    auto launch = std::make_shared<Launch>(exec->nodes);
    return emu::queue(stream, 0, [=] { return launch->step(); });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}
}
