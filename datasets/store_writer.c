#include "datasets/store.h"
