#include "datasets/corpus.h"
