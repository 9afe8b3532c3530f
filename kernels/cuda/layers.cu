/* Linear layers and convolutions: the entries of the table. A linear layer is a convolution of width 1, so
 * both are written once, over the struct of their arguments. Who multiplies is decided in multiply.h. */
#include "kernels/check.h"
#include "kernels/cuda/multiply.h"

namespace
{
vg__product product_of(const char *op, const vg_kernels *kernels, const vg_tensor &x, const vg_tensor &w)
{
    vg__product product = {};
    product.op = op;
    product.type = x.dtype;
    product.tf32 = kernels->tf32;
    product.B = x.dims[0];
    product.T = x.dims[1];
    product.I = x.dims[2];
    product.O = w.dims[0];
    product.K = w.rank == 3 ? w.dims[1] : 1;
    return product;
}

template <class Args> vg__finish finish_of(const Args *args, const vg__product &product)
{
    vg__finish finish = {};
    finish.pre = args->pre.data;
    finish.activation = args->activation;
    finish.dropout = args->dropout;
    finish.R = product.T;
    return finish;
}

template <class Args> vg_status forward(const char *op, vg_kernels *kernels, const Args *args)
{
    const vg__product product = product_of(op, kernels, args->x, args->w);
    vg__finish finish = finish_of(args, product);
    finish.bias = args->b.data;
    return vg__multiply_forward(vg__cuda_of(kernels), &product, args->x.data, args->w.data, &finish,
                                args->y.data);
}

template <class Args>
vg_status backward(const char *op, vg_kernels *kernels, const Args *args, bool add_to_dx)
{
    vg__cuda *cuda = vg__cuda_of(kernels);
    const vg__product product = product_of(op, kernels, args->x, args->w);
    const int64_t rows = product.B * product.T;
    if (rows == 0) return VG_OK;
    const vg__finish finish = finish_of(args, product);
    /* One piece of scratch, first for the bias, then for the products: the kernels follow each other on the
     * stream. */
    const size_t for_bias = vg__cuda_unfinish_scratch(rows, product.O),
                 for_products = vg__multiply_backward_scratch(cuda, &product, add_to_dx);
    void *scratch;
    VG_TRY(cuda->scratch(cuda, for_bias > for_products ? for_bias : for_products, &scratch));
    VG_TRY(vg__cuda_unfinish(cuda, op, product.type, rows, product.O, &finish, args->y.data, args->dy.data,
                             static_cast<float *>(args->db.data), scratch));
    if (args->dx.data)
        VG_TRY(
            vg__multiply_dx(cuda, &product, args->dy.data, args->w.data, args->dx.data, add_to_dx, scratch));
    return vg__multiply_dw(cuda, &product, args->dy.data, args->x.data, static_cast<float *>(args->dw.data),
                           scratch);
}
} // namespace

vg_status vg__cuda_linear_forward(vg_kernels *kernels, const vg_linear_forward_args *args)
{
    VG_TRY(vg__check_linear_forward(args, VG__F32 | VG__BF16));
    return forward("linear_forward", kernels, args);
}

vg_status vg__cuda_linear_backward(vg_kernels *kernels, const vg_linear_backward_args *args)
{
    VG_TRY(vg__check_linear_backward(args, VG__F32 | VG__BF16));
    return backward("linear_backward", kernels, args, args->add_to_dx);
}

vg_status vg__cuda_conv1d_forward(vg_kernels *kernels, const vg_conv1d_forward_args *args)
{
    VG_TRY(vg__check_conv1d_forward(args, VG__F32 | VG__BF16));
    return forward("conv1d_forward", kernels, args);
}

vg_status vg__cuda_conv1d_backward(vg_kernels *kernels, const vg_conv1d_backward_args *args)
{
    VG_TRY(vg__check_conv1d_backward(args, VG__F32 | VG__BF16));
    return backward("conv1d_backward", kernels, args, false);
}
